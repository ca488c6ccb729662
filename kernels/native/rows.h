// What an architecture supplies: the three inner loops, each over whole rows. Private to the library.
//
// A form that is missing on this machine is a null pointer; resample.cpp and color.cpp pick by architecture.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels.h"

namespace edgevit {

constexpr int kFractionBits = 22;
constexpr int32_t kHalf = 1 << (kFractionBits - 1);
constexpr int kLowBits = 15;  // low half of a weight: a pair of 16-bit products must fit 32 bits
constexpr int kGroup = 4;     // taps that `across` reads at once
constexpr int kRowBlock = 4;  // rows that `across` works on at once
constexpr int kRowAlign = 64; // rows between the passes are padded to this many bytes

inline uint8_t clip(int32_t level) { return static_cast<uint8_t>(level < 0 ? 0 : level > 255 ? 255 : level); }

// An axis made ready for vectors: taps padded with zero weights to whole groups, weights also split in two halves.
struct Sums {
    int32_t size, taps, padded;
    const int32_t *starts;
    std::vector<int32_t> weights;       // (size, padded)
    std::vector<int16_t> low, high;     // (size, padded), weight = high * 2^15 + low
    explicit Sums(const edgevit_axis &axis);
};

// across: outs[r][3 * i + c] for columns begin .. end of kRowBlock rows; may write one byte behind the last pixel.
// Vector forms read 16 bytes at starts[i] + 4 * group, the caller keeps that inside the row.
using Across = void (*)(const uint8_t *const rows[kRowBlock], uint8_t *const outs[kRowBlock],
                        const edgevit_source &source, const Sums &x, int32_t begin, int32_t end);

// down: out[i] for bytes 0 .. bytes (a multiple of kRowAlign) from taps rows; row is the index into y.
using Down = void (*)(const uint8_t *const *taps, const Sums &y, int32_t row, int32_t bytes, uint8_t *out);

// color: one row of pixels; u and v begin at the chroma of the first pixel. Returns how many pixels it did.
using Color = int32_t (*)(int32_t format, const uint8_t *luma, const uint8_t *u, const uint8_t *v, int32_t width,
                          uint8_t *out);

namespace scalar {
void across(const uint8_t *const rows[kRowBlock], uint8_t *const outs[kRowBlock], const edgevit_source &source,
            const Sums &x, int32_t begin, int32_t end);
void down(const uint8_t *const *taps, const Sums &y, int32_t row, int32_t bytes, uint8_t *out);
int32_t color(int32_t format, const uint8_t *luma, const uint8_t *u, const uint8_t *v, int32_t width, uint8_t *out);
}  // namespace scalar

// BT.601 limited range in units of 2^-13: 255/219, 1.402 * 255/224, and so on.
constexpr int kColorBits = 13;
constexpr int32_t kColorHalf = 1 << (kColorBits - 1);
constexpr int16_t kLuma = 9539, kRedV = 13075, kGreenU = -3209, kGreenV = -6660, kBlueU = 16525;

namespace avx2 {
extern const Across across;
extern const Down down;
extern const Color color;
}  // namespace avx2

namespace neon {
extern const Across across;
extern const Down down;
extern const Color color;
}  // namespace neon

// Turn EDGEVIT_ARCH_BEST into a real one; -2 when this machine lacks the wanted one.
int32_t resolve(int32_t arch);

}  // namespace edgevit
