// Compute the weights of a resize along one axis, for apps without Python.
//
// The words and the arithmetic are those of kernels/weights.py, its oracle: equal to the bit, which is why the build
// forbids fused multiply-add here (-ffp-contract=off).
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "rows.h"

namespace edgevit {
namespace {

constexpr int64_t kRunningSumLimit = 1 << 22;

double triangle(double x) { return std::max(1.0 - std::fabs(x), 0.0); }

double keys(double distance, double a) {
    const double x = std::fabs(distance);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

int32_t whole(double weight) {
    return static_cast<int32_t>(std::trunc(weight * (1 << kFractionBits) + std::copysign(0.5, weight)));
}

struct Axis {
    int32_t source, taps;
    int32_t *starts, *weights;

    void single(int32_t i, double position) const {
        starts[i] = static_cast<int32_t>(std::clamp<int64_t>(static_cast<int64_t>(position), 0, source - taps));
        std::fill_n(weights + static_cast<size_t>(i) * taps, taps, 0);
        const int64_t at = std::clamp<int64_t>(static_cast<int64_t>(position), 0, source - 1) - starts[i];
        weights[static_cast<size_t>(i) * taps + at] = 1 << kFractionBits;
    }
};

void nearest(const Axis &axis, double scale, int32_t first, int32_t count) {
    const bool walks = static_cast<int64_t>(first) + count <= kRunningSumLimit;
    double position = scale * 0.5;
    for (int32_t i = 0; walks && i < first; i++) position += scale;
    for (int32_t i = 0; i < count; i++, position += scale)
        axis.single(i, walks ? position : (static_cast<double>(first) + i + 0.5) * scale);
}

void filtered(const Axis &axis, double scale, int32_t first, int32_t count, bool cubic, bool antialias) {
    const double stretch = antialias ? std::max(scale, 1.0) : 1.0, support = (cubic ? 2.0 : 1.0) * stretch;
    const double shrink = 1.0 / stretch;
    std::vector<double> values, packed(axis.taps);
    for (int32_t i = 0; i < count; i++) {
        const double centre = (static_cast<double>(first) + i + 0.5) * scale;
        int64_t begin, end;  // for the plain kind before clamping, for the antialiased after
        values.clear();
        if (antialias) {
            begin = std::max<int64_t>(static_cast<int64_t>(centre - support + 0.5), 0);
            end = std::min<int64_t>(static_cast<int64_t>(centre + support + 0.5), axis.source);
            double total = 0.0;
            for (int64_t at = begin; at < end; at++) {
                const double distance = (static_cast<double>(at) - centre + 0.5) * shrink;
                values.push_back(cubic ? keys(distance, -0.5) : triangle(distance));
                total += values.back();
            }
            if (total != 0.0)
                for (double &value : values) value /= total;
        } else {
            const double middle = centre - 0.5;
            const int64_t left = static_cast<int64_t>(std::floor(middle)), reach = cubic ? 2 : 1;
            begin = left + 1 - reach;
            end = left + 1 + reach;
            for (int64_t at = begin; at < end; at++) {
                const double distance = static_cast<double>(at) - middle;
                values.push_back(cubic ? keys(distance, -0.75) : triangle(distance));
            }
        }
        const int64_t start = std::min<int64_t>(std::max<int64_t>(begin, 0), axis.source - axis.taps);
        std::fill(packed.begin(), packed.end(), 0.0);
        for (int64_t at = begin; at < end; at++)
            packed[std::clamp<int64_t>(at, 0, axis.source - 1) - start] += values[at - begin];
        axis.starts[i] = static_cast<int32_t>(start);
        for (int32_t k = 0; k < axis.taps; k++) axis.weights[static_cast<size_t>(i) * axis.taps + k] = whole(packed[k]);
    }
}

}  // namespace
}  // namespace edgevit

extern "C" {

int32_t edgevit_kernels_taps(int32_t source, int32_t target, int32_t filter, int32_t antialias) {
    if (source < 1 || target < 1) return 0;
    if (filter == EDGEVIT_FILTER_NEAREST || source == target) return 1;
    const double reach = filter == EDGEVIT_FILTER_BICUBIC ? 2.0 : 1.0;
    if (!antialias) return std::min(source, static_cast<int32_t>(2 * reach));
    const double stretch = std::max(static_cast<double>(source) / target, 1.0);
    return static_cast<int32_t>(std::min<double>(source, 2 * std::ceil(reach * stretch) + 1));
}

int32_t edgevit_kernels_weights(int32_t source, int32_t target, int32_t first, int32_t count, int32_t filter,
                                int32_t antialias, int32_t taps, int32_t *starts, int32_t *weights) {
    using namespace edgevit;
    if (source < 1 || target < 1 || first < 0 || count < 1 || first > target - count || !starts || !weights ||
        filter < EDGEVIT_FILTER_NEAREST || filter > EDGEVIT_FILTER_BICUBIC ||
        taps < edgevit_kernels_taps(source, target, filter, antialias) || taps > source)
        return EDGEVIT_BAD_ARGUMENT;
    const Axis axis{source, taps, starts, weights};
    if (source == target) {
        for (int32_t i = 0; i < count; i++) axis.single(i, static_cast<double>(first) + i);
    } else if (filter == EDGEVIT_FILTER_NEAREST) {
        nearest(axis, static_cast<double>(source) / target, first, count);
    } else {
        filtered(axis, static_cast<double>(source) / target, first, count, filter == EDGEVIT_FILTER_BICUBIC, antialias);
    }
    return EDGEVIT_OK;
}
}
