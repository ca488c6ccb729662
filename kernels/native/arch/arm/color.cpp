// The rows of color.cpp with NEON: eight pixels a step, stored as three interleaved channels by one instruction.
//
// Shapes, source and oracle: color.cpp. Gain: not yet measured on a board; correctness is run under an emulator (selftest.cpp).
#include "../../rows.h"

#if defined(__aarch64__) || defined(_M_ARM64)
#include <arm_neon.h>

#include <cstring>

namespace edgevit {
namespace {

struct Eight {
    uint8x8_t luma, u, v;  // one byte a pixel, chroma already doubled
};

inline uint8x8_t four(const uint8_t *from) {
    uint32_t bytes;
    std::memcpy(&bytes, from, 4);
    return vreinterpret_u8_u32(vdup_n_u32(bytes));
}

inline Eight read(int32_t format, const uint8_t *luma, const uint8_t *u, const uint8_t *v, int32_t x) {
    if (format == EDGEVIT_YUV_NV12) {
        const uint8x8_t pairs = vld1_u8(u + x);
        return {vld1_u8(luma + x), vtrn1_u8(pairs, pairs), vtrn2_u8(pairs, pairs)};
    }
    if (format == EDGEVIT_YUV_I420) {
        const uint8x8_t us = four(u + x / 2), vs = four(v + x / 2);
        return {vld1_u8(luma + x), vzip1_u8(us, us), vzip1_u8(vs, vs)};
    }
    const uint8x8x2_t both = vld2_u8(luma + 2 * x);  // luma, and u v u v ...
    return {both.val[0], vtrn1_u8(both.val[1], both.val[1]), vtrn2_u8(both.val[1], both.val[1])};
}

inline int16x8_t less(uint8x8_t values, int16_t offset) {
    return vsubq_s16(vreinterpretq_s16_u16(vmovl_u8(values)), vdupq_n_s16(offset));
}

inline uint8x8_t levels(int32x4_t low, int32x4_t high) {
    return vqmovun_s16(vcombine_s16(vqmovn_s32(vshrq_n_s32(low, kColorBits)), vqmovn_s32(vshrq_n_s32(high, kColorBits))));
}

int32_t color_neon(int32_t format, const uint8_t *luma, const uint8_t *u, const uint8_t *v, int32_t width,
                   uint8_t *out) {
    const int32x4_t half = vdupq_n_s32(kColorHalf);
    int32_t x = 0;
    for (; x + 8 <= width; x += 8, out += 24) {
        const Eight pixels = read(format, luma, u, v, x);
        const int16x8_t bright = less(pixels.luma, 16), blue = less(pixels.u, 128), red = less(pixels.v, 128);
        const int32x4_t low = vmlal_n_s16(half, vget_low_s16(bright), kLuma);
        const int32x4_t high = vmlal_n_s16(half, vget_high_s16(bright), kLuma);
        uint8x8x3_t rgb;
        rgb.val[0] = levels(vmlal_n_s16(low, vget_low_s16(red), kRedV), vmlal_n_s16(high, vget_high_s16(red), kRedV));
        rgb.val[1] = levels(
            vmlal_n_s16(vmlal_n_s16(low, vget_low_s16(blue), kGreenU), vget_low_s16(red), kGreenV),
            vmlal_n_s16(vmlal_n_s16(high, vget_high_s16(blue), kGreenU), vget_high_s16(red), kGreenV));
        rgb.val[2] = levels(vmlal_n_s16(low, vget_low_s16(blue), kBlueU), vmlal_n_s16(high, vget_high_s16(blue), kBlueU));
        vst3_u8(out, rgb);
    }
    return x;
}

}  // namespace

namespace neon {
const Color color = color_neon;
}  // namespace neon
}  // namespace edgevit

#else

namespace edgevit::neon {
const Color color = nullptr;
}  // namespace edgevit::neon

#endif
