// Compare every architecture that this machine has with the scalar form, to the bit, and try to be refused.
//
// Each buffer is allotted at its exact size, so a build with -fsanitize=address also proves that nothing reads or writes
// outside. Prints one line a form; exits 1 at the first difference.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "kernels.h"

namespace {

std::mt19937 dice(20261121);

int32_t between(int32_t low, int32_t high) { return std::uniform_int_distribution<int32_t>(low, high)(dice); }

std::vector<uint8_t> noise(size_t size) {
    std::vector<uint8_t> bytes(size);
    const bool harsh = between(0, 1);
    for (uint8_t &byte : bytes) byte = static_cast<uint8_t>(harsh ? 255 * between(0, 1) : between(0, 255));
    return bytes;
}

struct Axis {
    std::vector<int32_t> starts, weights;
    edgevit_axis view;
    Axis(int32_t source, int32_t target, int32_t filter, int32_t antialias) {
        const int32_t first = between(0, target - 1), count = between(1, target - first);
        const int32_t taps = edgevit_kernels_taps(source, target, filter, antialias);
        starts.resize(count);
        weights.resize(static_cast<size_t>(count) * taps);
        if (edgevit_kernels_weights(source, target, first, count, filter, antialias, taps, starts.data(), weights.data()))
            std::abort();
        view = {count, taps, starts.data(), weights.data()};
    }
};

bool resamples_alike(int32_t arch) {
    const int32_t strides[] = {1, 3, 4};
    const int32_t step = strides[between(0, 2)];
    const int32_t width = between(1, 90), height = between(1, 90), filter = between(0, 2), antialias = between(0, 1);
    const std::vector<uint8_t> pixels = noise(static_cast<size_t>(width) * height * step);
    const Axis x(width, between(1, 120), filter, antialias), y(height, between(1, 120), filter, antialias);
    edgevit_source source = {pixels.data(), width * step, width, height, step,
                             {between(0, step - 1), between(0, step - 1), between(0, step - 1)}};
    if (between(0, 1)) {  // upside down
        source.pixels += static_cast<ptrdiff_t>(height - 1) * width * step;
        source.row_stride = -source.row_stride;
    }
    const size_t size = static_cast<size_t>(x.view.size) * y.view.size * 3;
    std::vector<uint8_t> wanted(size), got(size);
    std::vector<float> table(768), planes(size);
    const bool planes_first = between(0, 1);
    for (size_t i = 0; i < table.size(); i++) table[i] = static_cast<float>(i) * 0.25f;
    if (edgevit_kernels_resample(EDGEVIT_ARCH_SCALAR, &source, &x.view, &y.view, wanted.data(), x.view.size * 3) ||
        edgevit_kernels_resample(arch, &source, &x.view, &y.view, got.data(), x.view.size * 3) ||
        edgevit_kernels_prepare(arch, &source, &x.view, &y.view, table.data(), planes.data(),
                                planes_first ? static_cast<ptrdiff_t>(size / 3) : 1,
                                planes_first ? x.view.size : 3 * x.view.size, planes_first ? 1 : 3))
        return false;
    for (size_t i = 0; i < size; i++)
        if (planes[planes_first ? i % 3 * (size / 3) + i / 3 : i] != table[i % 3 * 256 + wanted[i]]) return false;
    return wanted == got;
}

bool colors_alike(int32_t arch) {
    const int32_t format = between(0, 2), width = 2 * between(1, 50), height = 2 * between(1, 6);
    const size_t area = static_cast<size_t>(width) * height;
    const std::vector<uint8_t> luma = noise(format == EDGEVIT_YUV_YUYV ? 2 * area : area);
    const std::vector<uint8_t> u = noise(format == EDGEVIT_YUV_NV12 ? area / 2 : area / 4), v = noise(area / 4);
    const ptrdiff_t luma_stride = format == EDGEVIT_YUV_YUYV ? 2 * width : width;
    const ptrdiff_t chroma_stride = format == EDGEVIT_YUV_NV12 ? width : width / 2;
    const uint8_t *red = format == EDGEVIT_YUV_NV12 ? u.data() + 1 : v.data();
    std::vector<uint8_t> wanted(3 * area), got(3 * area);
    for (auto [form, out] : {std::pair<int32_t, uint8_t *>{EDGEVIT_ARCH_SCALAR, wanted.data()}, {arch, got.data()}})
        if (edgevit_kernels_rgb(form, format, luma.data(), luma_stride, u.data(), red, chroma_stride, width, height, out,
                                3 * width))
            return false;
    return wanted == got;
}

bool refuses() {
    const uint8_t pixels[12] = {};
    uint8_t out[12];
    const int32_t starts[] = {0, 1}, falling[] = {1, 0}, beyond[] = {0, 2}, weights[] = {1 << 22, 1 << 22};
    const edgevit_source good = {pixels, 6, 2, 2, 3, {0, 1, 2}};
    edgevit_source bad = good;
    bad.channels[2] = 3;
    const edgevit_axis fine = {2, 1, starts, weights}, down = {2, 1, falling, weights}, far = {2, 1, beyond, weights};
    const edgevit_axis wide = {1, 3, starts, weights}, none = {0, 1, starts, weights};
    auto ask = [&](int32_t arch, const edgevit_source *s, const edgevit_axis *x, const edgevit_axis *y) {
        return edgevit_kernels_resample(arch, s, x, y, out, 6);
    };
    const int32_t any = EDGEVIT_ARCH_BEST, no = EDGEVIT_BAD_ARGUMENT;
    return ask(any, &good, &fine, &fine) == EDGEVIT_OK && ask(any, &bad, &fine, &fine) == no &&
           ask(any, &good, &down, &fine) == no && ask(any, &good, &fine, &far) == no &&
           ask(any, &good, &wide, &fine) == no && ask(any, &good, &fine, &none) == no &&
           ask(any, nullptr, &fine, &fine) == no && ask(99, &good, &fine, &fine) == EDGEVIT_NO_ARCH;
}

}  // namespace

int main() {
    const char *names[] = {"scalar", "avx2", "neon"};
    if (!refuses()) return std::puts("bad arguments are not refused"), 1;
    for (int32_t arch : {EDGEVIT_ARCH_SCALAR, EDGEVIT_ARCH_AVX2, EDGEVIT_ARCH_NEON}) {
        if (!edgevit_kernels_arch_available(arch)) continue;
        for (int round = 0; round < 600; round++) {
            if (!resamples_alike(arch)) return std::printf("%s: resample differs in round %d\n", names[arch], round), 1;
            if (!colors_alike(arch)) return std::printf("%s: color differs in round %d\n", names[arch], round), 1;
        }
        std::printf("%s: equal\n", names[arch]);
    }
    return 0;
}
