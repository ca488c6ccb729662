// Choose the architecture: the best form that this library holds and this processor runs, asked once.
#include "rows.h"

namespace edgevit {

static bool detect(int32_t arch) {
    switch (arch) {
        case EDGEVIT_ARCH_SCALAR:
            return true;
        case EDGEVIT_ARCH_AVX2:
#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
            return avx2::across != nullptr && __builtin_cpu_supports("avx2");
#else
            return false;
#endif
        case EDGEVIT_ARCH_NEON:
            return neon::across != nullptr;  // baseline on 64-bit ARM, absent from any other build
        default:
            return false;
    }
}

int32_t resolve(int32_t arch) {
    static const int32_t best =
        detect(EDGEVIT_ARCH_AVX2) ? EDGEVIT_ARCH_AVX2 : detect(EDGEVIT_ARCH_NEON) ? EDGEVIT_ARCH_NEON : EDGEVIT_ARCH_SCALAR;
    if (arch == EDGEVIT_ARCH_BEST || arch == best) return best;
    return detect(arch) ? arch : -2;
}

}  // namespace edgevit

extern "C" {

int32_t edgevit_kernels_abi(void) { return EDGEVIT_KERNELS_ABI; }

int32_t edgevit_kernels_arch_available(int32_t arch) { return edgevit::resolve(arch) >= 0; }

int32_t edgevit_kernels_arch_best(void) { return edgevit::resolve(EDGEVIT_ARCH_BEST); }
}
