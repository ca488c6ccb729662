// The two passes of resample.cpp with NEON (64-bit ARM, where it is always there).
//
// Principle: whole 32-bit multiply-adds, four lanes wide, so a weight needs no splitting.
//   across: one table look-up turns four pixels into four vectors of channels, in the wanted order; the four rows share
//   the weights. down: sixteen bytes a step, widened to four sums of four.
// Shapes and oracle: resample.cpp. Gain: not yet measured on a board; correctness is run under an emulator (selftest.cpp).
#include "../../rows.h"

#if defined(__aarch64__) || defined(_M_ARM64)
#include <arm_neon.h>

#include <cstring>

namespace edgevit {
namespace {

uint8x16_t spread(const edgevit_source &source) {
    uint8_t at[16];
    std::memset(at, 255, sizeof at);  // an index beyond the table gives zero
    for (int k = 0; k < kGroup; k++)
        for (int c = 0; c < 3; c++) at[4 * k + c] = static_cast<uint8_t>(k * source.pixel_stride + source.channels[c]);
    return vld1q_u8(at);
}

inline int32x4_t widened(uint16x4_t values) { return vreinterpretq_s32_u32(vmovl_u16(values)); }

void across_neon(const uint8_t *const rows[kRowBlock], uint8_t *const outs[kRowBlock], const edgevit_source &source,
                 const Sums &x, int32_t begin, int32_t end) {
    const uint8x16_t order = spread(source);
    const int32_t step = kGroup * source.pixel_stride;
    for (int32_t i = begin; i < end; i++) {
        const ptrdiff_t first = static_cast<ptrdiff_t>(x.starts[i]) * source.pixel_stride;
        const int32_t *weight = &x.weights[static_cast<size_t>(i) * x.padded];
        int32x4_t sum[kRowBlock];
        for (int r = 0; r < kRowBlock; r++) sum[r] = vdupq_n_s32(kHalf);
        for (int32_t k = 0; k < x.padded; k += kGroup) {
            const int32x4_t four = vld1q_s32(weight + k);
            const ptrdiff_t at = first + k / kGroup * step;
            for (int r = 0; r < kRowBlock; r++) {
                const uint8x16_t pixels = vqtbl1q_u8(vld1q_u8(rows[r] + at), order);
                const uint16x8_t near = vmovl_u8(vget_low_u8(pixels)), far = vmovl_u8(vget_high_u8(pixels));
                sum[r] = vmlaq_laneq_s32(sum[r], widened(vget_low_u16(near)), four, 0);
                sum[r] = vmlaq_laneq_s32(sum[r], widened(vget_high_u16(near)), four, 1);
                sum[r] = vmlaq_laneq_s32(sum[r], widened(vget_low_u16(far)), four, 2);
                sum[r] = vmlaq_laneq_s32(sum[r], widened(vget_high_u16(far)), four, 3);
            }
        }
        for (int r = 0; r < kRowBlock; r++) {
            const int16x4_t level = vqmovn_s32(vshrq_n_s32(sum[r], kFractionBits));
            const uint8x8_t bytes = vqmovun_s16(vcombine_s16(level, level));
            const uint32_t pixel = vget_lane_u32(vreinterpret_u32_u8(bytes), 0);
            std::memcpy(outs[r] + 3 * i, &pixel, 4);
        }
    }
}

void down_neon(const uint8_t *const *taps, const Sums &y, int32_t row, int32_t bytes, uint8_t *out) {
    const int32_t *weight = &y.weights[static_cast<size_t>(row) * y.padded];
    for (int32_t at = 0; at < bytes; at += 16) {
        int32x4_t a = vdupq_n_s32(kHalf), b = a, c = a, d = a;
        for (int32_t k = 0; k < y.taps; k++) {
            const uint8x16_t line = vld1q_u8(taps[k] + at);
            const uint16x8_t near = vmovl_u8(vget_low_u8(line)), far = vmovl_u8(vget_high_u8(line));
            a = vmlaq_n_s32(a, widened(vget_low_u16(near)), weight[k]);
            b = vmlaq_n_s32(b, widened(vget_high_u16(near)), weight[k]);
            c = vmlaq_n_s32(c, widened(vget_low_u16(far)), weight[k]);
            d = vmlaq_n_s32(d, widened(vget_high_u16(far)), weight[k]);
        }
        const int16x8_t first = vcombine_s16(vqmovn_s32(vshrq_n_s32(a, kFractionBits)),
                                             vqmovn_s32(vshrq_n_s32(b, kFractionBits)));
        const int16x8_t second = vcombine_s16(vqmovn_s32(vshrq_n_s32(c, kFractionBits)),
                                              vqmovn_s32(vshrq_n_s32(d, kFractionBits)));
        vst1q_u8(out + at, vcombine_u8(vqmovun_s16(first), vqmovun_s16(second)));
    }
}

}  // namespace

namespace neon {
const Across across = across_neon;
const Down down = down_neon;
}  // namespace neon
}  // namespace edgevit

#else

namespace edgevit::neon {
const Across across = nullptr;
const Down down = nullptr;
}  // namespace edgevit::neon

#endif
