// Turn grey levels into the net's numbers and packed pixels into whatever layout the net wants.
//
// Principle: a channel has only 256 different answers, so (level / 255 - mean) / std is worked out once, in torch's own
//   order of float32 operations, and looked up: exact on every architecture, and three loads and a store are as fast
//   here as arithmetic, because the pass waits for memory. Source: none, it is plain counting.
// Shapes: (h, w, 3) uint8 -> (3, h, w) or (h, w, 3) float32. Oracle: kernels/reference.py, equal to the bit.
// Gain: part of the figures in resample.cpp, whose rows it takes while they are in the first cache.
#include "kernels.h"

extern "C" int32_t edgevit_kernels_normalise(const uint8_t *pixels, ptrdiff_t pixels_stride, int32_t width,
                                             int32_t height, const float *table, float *out, ptrdiff_t channel_stride,
                                             ptrdiff_t row_stride, ptrdiff_t column_stride) {
    if (!pixels || !table || !out || width < 1 || height < 1) return EDGEVIT_BAD_ARGUMENT;
    for (int32_t y = 0; y < height; y++) {
        const uint8_t *line = pixels + y * pixels_stride;
        float *first = out + y * row_stride, *second = first + channel_stride, *third = second + channel_stride;
        for (int32_t x = 0; x < width; x++, line += 3) {
            const ptrdiff_t at = x * column_stride;
            first[at] = table[line[0]];
            second[at] = table[256 + line[1]];
            third[at] = table[512 + line[2]];
        }
    }
    return EDGEVIT_OK;
}
