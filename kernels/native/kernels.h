/* The kernels of edgevit: from a camera frame to the input tensor of a net, in plain C, without Python.

   The library is the same for Python (opened with ctypes) and for an app (linked statically). It allots nothing that
   outlives a call, keeps no state, and may be called from many threads at once.

   Example: a 1280x720 RGB frame to a 1x3x224x224 tensor, shorter side to 256, centre crop (timm's usual evaluation).

       enum { W = 1280, H = 720, SIZE = 224 };
       int resized_w = 256 * W / H, resized_h = 256;                    // 455 x 256
       int left = lrint((resized_w - SIZE) / 2.0), top = lrint((resized_h - SIZE) / 2.0);   // halves to even

       int taps_x = edgevit_kernels_taps(W, resized_w, EDGEVIT_FILTER_BILINEAR, 1);
       int taps_y = edgevit_kernels_taps(H, resized_h, EDGEVIT_FILTER_BILINEAR, 1);
       int32_t starts_x[SIZE], starts_y[SIZE];
       int32_t *weights_x = malloc(SIZE * taps_x * sizeof(int32_t));
       int32_t *weights_y = malloc(SIZE * taps_y * sizeof(int32_t));
       edgevit_kernels_weights(W, resized_w, left, SIZE, EDGEVIT_FILTER_BILINEAR, 1, taps_x, starts_x, weights_x);
       edgevit_kernels_weights(H, resized_h, top, SIZE, EDGEVIT_FILTER_BILINEAR, 1, taps_y, starts_y, weights_y);

       float table[3 * 256];                                            // what each grey level becomes
       for (int c = 0; c < 3; c++)
           for (int v = 0; v < 256; v++) table[c * 256 + v] = ((float)v / 255.0f - mean[c]) / std[c];

       edgevit_source frame = {pixels, W * 3, W, H, 3, {0, 1, 2}};      // {2, 1, 0} reads BGR
       edgevit_axis x = {SIZE, taps_x, starts_x, weights_x}, y = {SIZE, taps_y, starts_y, weights_y};
       static float tensor[3 * SIZE * SIZE];
       int fault = edgevit_kernels_prepare(EDGEVIT_ARCH_BEST, &frame, &x, &y, table, tensor, SIZE * SIZE, SIZE, 1);

   Keep weights and table while the camera keeps its size. Every architecture gives the same bits. */
#ifndef EDGEVIT_KERNELS_H
#define EDGEVIT_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define EDGEVIT_API __declspec(dllexport)
#else
#define EDGEVIT_API __attribute__((visibility("default")))
#endif

/* Rises whenever a signature or the meaning of an argument changes; the opener refuses any other number. */
#define EDGEVIT_KERNELS_ABI 2

#ifdef __cplusplus
extern "C" {
#endif

enum { EDGEVIT_ARCH_BEST = -1, EDGEVIT_ARCH_SCALAR = 0, EDGEVIT_ARCH_AVX2 = 1, EDGEVIT_ARCH_NEON = 2 };
enum { EDGEVIT_FILTER_NEAREST = 0, EDGEVIT_FILTER_BILINEAR = 1, EDGEVIT_FILTER_BICUBIC = 2 };
enum { EDGEVIT_YUV_NV12 = 0, EDGEVIT_YUV_I420 = 1, EDGEVIT_YUV_YUYV = 2 };
enum { EDGEVIT_OK = 0, EDGEVIT_BAD_ARGUMENT = 1, EDGEVIT_NO_MEMORY = 2, EDGEVIT_NO_ARCH = 3 };

/* A frame of packed 8-bit pixels. row_stride may be negative; channels[k] is the byte that feeds output channel k. */
typedef struct {
    const uint8_t *pixels;
    ptrdiff_t row_stride;   /* bytes from a row to the next */
    int32_t width, height;
    int32_t pixel_stride;   /* 1, 3 or 4 bytes */
    int32_t channels[3];    /* each below pixel_stride; {0, 0, 0} spreads grey */
} edgevit_source;

/* The weighted sums of one axis, in units of 2^-22: output i = sum over k of weights[i * taps + k] * source[starts[i] + k].
   starts never falls, and starts[i] + taps never exceeds the source. */
typedef struct {
    int32_t size, taps;
    const int32_t *starts;
    const int32_t *weights;
} edgevit_axis;

EDGEVIT_API int32_t edgevit_kernels_abi(void);
EDGEVIT_API int32_t edgevit_kernels_arch_available(int32_t arch);   /* 1 or 0 */
EDGEVIT_API int32_t edgevit_kernels_arch_best(void);

/* Say how many taps a resize of one axis needs, and compute outputs first .. first + count of it. */
EDGEVIT_API int32_t edgevit_kernels_taps(int32_t source, int32_t target, int32_t filter, int32_t antialias);
EDGEVIT_API int32_t edgevit_kernels_weights(int32_t source, int32_t target, int32_t first, int32_t count, int32_t filter,
                                            int32_t antialias, int32_t taps, int32_t *starts, int32_t *weights);

/* Crop, resize and reorder: out is (y->size, x->size, 3) uint8, out_stride bytes a row. */
EDGEVIT_API int32_t edgevit_kernels_resample(int32_t arch, const edgevit_source *source, const edgevit_axis *x,
                                             const edgevit_axis *y, uint8_t *out, ptrdiff_t out_stride);

/* The same, then out[channel * channel_stride + row * row_stride + column * column_stride] = table[channel * 256 + level];
   strides count floats: (w * h, w, 1) writes planes, (1, 3 * w, 3) keeps the channels of a pixel together. */
EDGEVIT_API int32_t edgevit_kernels_prepare(int32_t arch, const edgevit_source *source, const edgevit_axis *x,
                                            const edgevit_axis *y, const float *table, float *out,
                                            ptrdiff_t channel_stride, ptrdiff_t row_stride, ptrdiff_t column_stride);

/* The table alone, for pixels (height, width, 3). */
EDGEVIT_API int32_t edgevit_kernels_normalise(const uint8_t *pixels, ptrdiff_t pixels_stride, int32_t width,
                                              int32_t height, const float *table, float *out, ptrdiff_t channel_stride,
                                              ptrdiff_t row_stride, ptrdiff_t column_stride);

/* YUV (BT.601, limited range) to packed RGB. NV12: chroma = u = v - 1. YUYV: luma only, even width. */
EDGEVIT_API int32_t edgevit_kernels_rgb(int32_t arch, int32_t format, const uint8_t *luma, ptrdiff_t luma_stride,
                                        const uint8_t *u, const uint8_t *v, ptrdiff_t chroma_stride, int32_t width,
                                        int32_t height, uint8_t *out, ptrdiff_t out_stride);

#ifdef __cplusplus
}
#endif
#endif
