// Crop, resize, reorder and (if asked) normalise in one walk over the frame.
//
// Principle: the two passes of a separable resize, horizontal first and rounded to bytes as Pillow has it, but only
//   for the rows and columns that the crop keeps, and with a ring of a few rows between them that stays in the first
//   cache instead of a whole picture. Source: the separable resampling with whole-number weights of 22 bits that Pillow
//   documents and timm's weights were trained behind.
// Shapes: frame (H, W, 1|3|4) uint8 -> (h, w, 3) uint8, or (3, h, w) or (h, w, 3) float32 through a table
//   of 3 x 256 levels.
// Oracle: kernels/reference.py, equal to the bit.
// Gain, this scalar form, 1280x720 -> 224: 3.2 times Pillow + numpy (bilinear), 2.9 times (bicubic); 3.5 and 5 times the
//   oracle. x86-64 server core, one thread, interleaved medians of benchmarks/preprocess.py, busy machine, 2026-11-21.
#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>

#include "rows.h"

namespace edgevit {

Sums::Sums(const edgevit_axis &axis)
    : size(axis.size), taps(axis.taps), padded((axis.taps + kGroup - 1) / kGroup * kGroup), starts(axis.starts),
      weights(static_cast<size_t>(size) * padded), low(weights.size()), high(weights.size()) {
    for (int32_t i = 0; i < size; i++) {
        for (int32_t k = 0; k < taps; k++) {
            const int32_t weight = axis.weights[static_cast<size_t>(i) * taps + k];
            const size_t at = static_cast<size_t>(i) * padded + k;
            weights[at] = weight;
            low[at] = static_cast<int16_t>(weight & ((1 << kLowBits) - 1));
            high[at] = static_cast<int16_t>(weight >> kLowBits);
        }
    }
}

namespace scalar {

void across(const uint8_t *const rows[kRowBlock], uint8_t *const outs[kRowBlock], const edgevit_source &source,
            const Sums &x, int32_t begin, int32_t end) {
    const int32_t step = source.pixel_stride;
    for (int r = 0; r < kRowBlock; r++) {
        for (int32_t i = begin; i < end; i++) {
            const uint8_t *pixel = rows[r] + static_cast<ptrdiff_t>(x.starts[i]) * step;
            const int32_t *weight = &x.weights[static_cast<size_t>(i) * x.padded];
            int32_t sum[3] = {kHalf, kHalf, kHalf};
            for (int32_t k = 0; k < x.taps; k++, pixel += step) {
                for (int c = 0; c < 3; c++) sum[c] += weight[k] * pixel[source.channels[c]];
            }
            for (int c = 0; c < 3; c++) outs[r][3 * i + c] = clip(sum[c] >> kFractionBits);
        }
    }
}

void down(const uint8_t *const *taps, const Sums &y, int32_t row, int32_t bytes, uint8_t *out) {
    const int32_t *weight = &y.weights[static_cast<size_t>(row) * y.padded];
    for (int32_t at = 0; at < bytes; at += kRowAlign) {
        int32_t sum[kRowAlign];
        for (int32_t &value : sum) value = kHalf;
        for (int32_t k = 0; k < y.taps; k++) {
            const uint8_t *line = taps[k] + at;
            for (int i = 0; i < kRowAlign; i++) sum[i] += weight[k] * line[i];
        }
        for (int i = 0; i < kRowAlign; i++) out[at + i] = clip(sum[i] >> kFractionBits);
    }
}

}  // namespace scalar

namespace {

// Where a finished row goes: bytes as they are, or through the table to floats.
struct Sink {
    uint8_t *bytes;
    ptrdiff_t bytes_stride;
    const float *table;
    float *floats;
    ptrdiff_t channel_stride, row_stride, column_stride;

    void take(int32_t row, const uint8_t *line, int32_t width) const {
        if (bytes) {
            std::memcpy(bytes + row * bytes_stride, line, static_cast<size_t>(width) * 3);
        } else {
            edgevit_kernels_normalise(line, 0, width, 1, table, floats + row * row_stride, channel_stride, row_stride,
                                      column_stride);
        }
    }
};

bool sound(const edgevit_axis *axis, int32_t source) {
    if (!axis || axis->size < 1 || axis->taps < 1 || axis->taps > source || !axis->starts || !axis->weights) return false;
    int32_t before = 0;
    for (int32_t i = 0; i < axis->size; i++) {
        if (axis->starts[i] < before || axis->starts[i] > source - axis->taps) return false;
        before = axis->starts[i];
    }
    return true;
}

bool sound(const edgevit_source *source) {
    if (!source || !source->pixels || source->width < 1 || source->height < 1) return false;
    if (source->pixel_stride != 1 && source->pixel_stride != 3 && source->pixel_stride != 4) return false;
    return std::all_of(source->channels, source->channels + 3,
                       [&](int32_t c) { return c >= 0 && c < source->pixel_stride; });
}

// Count the columns whose 16-byte reads stay inside a row; the few behind them go to the scalar form.
int32_t safe_columns(const edgevit_source &source, const Sums &x) {
    const int64_t reach = static_cast<int64_t>(x.padded - kGroup) * source.pixel_stride + 16;
    const int64_t last = (static_cast<int64_t>(source.width) * source.pixel_stride - reach) / source.pixel_stride;
    if (static_cast<int64_t>(source.width) * source.pixel_stride < reach) return 0;
    return static_cast<int32_t>(std::upper_bound(x.starts, x.starts + x.size, last) - x.starts);
}

struct Ring {
    int32_t slots, stride;
    std::vector<uint8_t> bytes;
    Ring(int32_t slots, int32_t width)
        : slots(slots), stride((3 * width + 1 + kRowAlign - 1) / kRowAlign * kRowAlign),
          bytes(static_cast<size_t>(slots + 1) * stride) {}
    uint8_t *row(int32_t index) { return &bytes[static_cast<size_t>(index % slots) * stride]; }
    uint8_t *spare() { return &bytes[static_cast<size_t>(slots) * stride]; }
};

void walk(const edgevit_source &source, const Sums &x, const Sums &y, Across across, Down down, const Sink &sink) {
    Ring ring(y.taps + kRowBlock, x.size);
    std::vector<const uint8_t *> taps(y.padded);
    const int32_t safe = across == scalar::across ? x.size : safe_columns(source, x);
    int32_t ready = 0;  // rows below this one have been through the horizontal pass, or are not wanted
    for (int32_t i = 0; i < y.size; i++) {
        const int32_t begin = y.starts[i], end = begin + y.taps;
        for (ready = std::max(ready, begin); ready < end;) {
            // A short block repeats its last row: the same bytes, written twice.
            const int32_t last = std::min(ready + kRowBlock, source.height) - 1;
            const uint8_t *rows[kRowBlock];
            uint8_t *outs[kRowBlock];
            for (int r = 0; r < kRowBlock; r++) {
                const int32_t row = std::min(ready + r, last);
                rows[r] = source.pixels + row * source.row_stride;
                outs[r] = ring.row(row);
            }
            if (safe > 0) across(rows, outs, source, x, 0, safe);
            if (safe < x.size) scalar::across(rows, outs, source, x, safe, x.size);
            ready = last + 1;
        }
        for (int32_t k = 0; k < y.padded; k++) taps[k] = ring.row(begin + std::min(k, y.taps - 1));
        down(taps.data(), y, i, ring.stride, ring.spare());
        sink.take(i, ring.spare(), x.size);
    }
}

int32_t run(int32_t arch, const edgevit_source *source, const edgevit_axis *x, const edgevit_axis *y, const Sink &sink) {
    if (!sound(source) || !sound(x, source->width) || !sound(y, source->height)) return EDGEVIT_BAD_ARGUMENT;
    if (x->size > INT32_MAX / 8) return EDGEVIT_BAD_ARGUMENT;
    const int32_t chosen = resolve(arch);
    if (chosen < 0) return EDGEVIT_NO_ARCH;
    const Across across_of[] = {scalar::across, avx2::across, neon::across};
    const Down down_of[] = {scalar::down, avx2::down, neon::down};
    try {
        walk(*source, Sums(*x), Sums(*y), across_of[chosen], down_of[chosen], sink);
    } catch (const std::bad_alloc &) {
        return EDGEVIT_NO_MEMORY;
    } catch (const std::length_error &) {
        return EDGEVIT_NO_MEMORY;
    }
    return EDGEVIT_OK;
}

}  // namespace
}  // namespace edgevit

extern "C" {

int32_t edgevit_kernels_resample(int32_t arch, const edgevit_source *source, const edgevit_axis *x,
                                 const edgevit_axis *y, uint8_t *out, ptrdiff_t out_stride) {
    if (!out) return EDGEVIT_BAD_ARGUMENT;
    return edgevit::run(arch, source, x, y, {out, out_stride, nullptr, nullptr, 0, 0, 0});
}

int32_t edgevit_kernels_prepare(int32_t arch, const edgevit_source *source, const edgevit_axis *x,
                                const edgevit_axis *y, const float *table, float *out, ptrdiff_t channel_stride,
                                ptrdiff_t row_stride, ptrdiff_t column_stride) {
    if (!out || !table) return EDGEVIT_BAD_ARGUMENT;
    return edgevit::run(arch, source, x, y, {nullptr, 0, table, out, channel_stride, row_stride, column_stride});
}
}
