// The two passes of resample.cpp with AVX2.
//
// Principle: a weight of 23 bits does not fit a 16-bit lane, so it is split (high * 2^15 + low) and both halves are
//   multiplied by pmaddwd, which takes two taps at once; the halves are joined at the end, in arithmetic modulo 2^32,
//   which is exact. That is the scalar form's sum, to the bit.
//   across: four taps a step; one byte shuffle spreads them over the lanes and puts the channels in order, so grey, RGB,
//   BGR and RGBA cost the same; four rows share the weights.
//   down: sixteen bytes a step, two rows interleaved.
// Shapes and oracle: resample.cpp.
// Gain, 1280x720 -> 224: 7.6 times Pillow + numpy (bilinear), 12 times (bicubic); 2.4 and 4.1 times the scalar form, 8 and
//   20 times the oracle, 1.4 times cv2's INTER_LINEAR + numpy, which skips pixels and is up to 25 grey levels off.
//   x86-64 server core (AVX2), one thread, interleaved medians of benchmarks/preprocess.py, busy machine, 2026-11-21.
#include "../../rows.h"

#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
#include <immintrin.h>

#include <cstring>

#define AVX2 __attribute__((target("avx2")))

namespace edgevit {
namespace {

// Bytes of four pixels to lanes: pixels 0 and 1 as pairs of 16 bits per channel in the low half, 2 and 3 in the high.
AVX2 __m256i spread(const edgevit_source &source) {
    alignas(32) int8_t at[32];
    std::memset(at, -1, sizeof at);  // a negative index gives zero
    for (int half = 0; half < 2; half++)
        for (int c = 0; c < 3; c++)
            for (int k = 0; k < 2; k++)
                at[16 * half + 4 * c + 2 * k] =
                    static_cast<int8_t>((2 * half + k) * source.pixel_stride + source.channels[c]);
    return _mm256_load_si256(reinterpret_cast<const __m256i *>(at));
}

AVX2 inline __m128i joined(__m256i low, __m256i high) {
    const __m256i sum = _mm256_add_epi32(low, _mm256_slli_epi32(high, kLowBits));
    const __m128i both = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    return _mm_srai_epi32(_mm_add_epi32(both, _mm_set1_epi32(kHalf)), kFractionBits);
}

AVX2 inline __m256i four(const int16_t *halves, __m256i places) {
    const __m128i taps = _mm_loadl_epi64(reinterpret_cast<const __m128i *>(halves));
    return _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(taps), places);
}

AVX2 void across_avx2(const uint8_t *const rows[kRowBlock], uint8_t *const outs[kRowBlock],
                      const edgevit_source &source, const Sums &x, int32_t begin, int32_t end) {
    const __m256i order = spread(source);
    const __m256i places = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    const int32_t step = kGroup * source.pixel_stride;
    for (int32_t i = begin; i < end; i++) {
        const ptrdiff_t first = static_cast<ptrdiff_t>(x.starts[i]) * source.pixel_stride;
        const size_t weight = static_cast<size_t>(i) * x.padded;
        __m256i low[kRowBlock], high[kRowBlock];
        for (int r = 0; r < kRowBlock; r++) low[r] = high[r] = _mm256_setzero_si256();
        for (int32_t k = 0; k < x.padded; k += kGroup) {
            const __m256i lows = four(&x.low[weight + k], places), highs = four(&x.high[weight + k], places);
            const ptrdiff_t at = first + k / kGroup * step;
            for (int r = 0; r < kRowBlock; r++) {
                const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(rows[r] + at));
                const __m256i pixels = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), order);
                low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(pixels, lows));
                high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(pixels, highs));
            }
        }
        const __m128i first_two = _mm_packs_epi32(joined(low[0], high[0]), joined(low[1], high[1]));
        const __m128i last_two = _mm_packs_epi32(joined(low[2], high[2]), joined(low[3], high[3]));
        alignas(16) uint8_t levels[16];
        _mm_store_si128(reinterpret_cast<__m128i *>(levels), _mm_packus_epi16(first_two, last_two));
        for (int r = 0; r < kRowBlock; r++) std::memcpy(outs[r] + 3 * i, levels + 4 * r, 4);
    }
}

AVX2 inline __m256i two(const int16_t *halves) {
    int32_t pair;
    std::memcpy(&pair, halves, sizeof pair);
    return _mm256_set1_epi32(pair);
}

AVX2 inline __m256i finished(__m256i low, __m256i high) {
    const __m256i sum = _mm256_add_epi32(low, _mm256_slli_epi32(high, kLowBits));
    return _mm256_srai_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(kHalf)), kFractionBits);
}

AVX2 void down_avx2(const uint8_t *const *taps, const Sums &y, int32_t row, int32_t bytes, uint8_t *out) {
    const int16_t *lows = &y.low[static_cast<size_t>(row) * y.padded];
    const int16_t *highs = &y.high[static_cast<size_t>(row) * y.padded];
    for (int32_t at = 0; at < bytes; at += 16) {
        __m256i low_a = _mm256_setzero_si256(), low_b = low_a, high_a = low_a, high_b = low_a;
        for (int32_t k = 0; k < y.taps; k += 2) {  // an odd last row is paired with itself and a zero weight
            const __m256i one = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(taps[k] + at)));
            const __m256i other =
                _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i *>(taps[k + 1] + at)));
            const __m256i a = _mm256_unpacklo_epi16(one, other), b = _mm256_unpackhi_epi16(one, other);
            const __m256i low = two(lows + k), high = two(highs + k);
            low_a = _mm256_add_epi32(low_a, _mm256_madd_epi16(a, low));
            low_b = _mm256_add_epi32(low_b, _mm256_madd_epi16(b, low));
            high_a = _mm256_add_epi32(high_a, _mm256_madd_epi16(a, high));
            high_b = _mm256_add_epi32(high_b, _mm256_madd_epi16(b, high));
        }
        // Packing works inside halves of a register, as unpacking did: the order comes out right.
        const __m256i levels = _mm256_packs_epi32(finished(low_a, high_a), finished(low_b, high_b));
        const __m128i packed =
            _mm_packus_epi16(_mm256_castsi256_si128(levels), _mm256_extracti128_si256(levels, 1));
        _mm_storeu_si128(reinterpret_cast<__m128i *>(out + at), packed);
    }
}

}  // namespace

namespace avx2 {
const Across across = across_avx2;
const Down down = down_avx2;
}  // namespace avx2
}  // namespace edgevit

#else

namespace edgevit::avx2 {
const Across across = nullptr;
const Down down = nullptr;
}  // namespace edgevit::avx2

#endif
