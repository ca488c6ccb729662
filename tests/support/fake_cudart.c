// Stand in for libcudart where there is no GPU: device memory is host memory, and copies wait in a queue as they may on
// a real stream, so that a forgotten wait shows as wrong numbers. fake_* are the test's own doors.
#include <stdlib.h>
#include <string.h>

enum { QUEUED = 256, FAULTS = 16 };

static struct { void *to; const void *from; size_t bytes; } queue[QUEUED];
static struct { char name[64]; int code; } faults[FAULTS];
static int queued, live, gpus = 1, compute[2] = {8, 7};
static char gpu_name[256] = "Orin";

static int fault_of(const char *name) {
    for (int i = 0; i < FAULTS; i++)
        if (faults[i].code && !strcmp(faults[i].name, name)) return faults[i].code;
    return 0;
}

void fake_reset(void) { memset(faults, 0, sizeof faults); queued = live = 0; gpus = 1; compute[0] = 8; compute[1] = 7; strcpy(gpu_name, "Orin"); }
void fake_gpu(int count, const char *name, int major, int minor) { gpus = count; strncpy(gpu_name, name, 255); compute[0] = major; compute[1] = minor; }
int fake_live(void) { return live; }
int fake_queued(void) { return queued; }
void fake_break(const char *name, int code) {
    for (int i = 0; i < FAULTS; i++)
        if (!faults[i].code) { strncpy(faults[i].name, name, 63); faults[i].code = code; return; }
}
void fake_flush(void) {
    for (int i = 0; i < queued; i++) memcpy(queue[i].to, queue[i].from, queue[i].bytes);
    queued = 0;
}

static int reserve(void **out, size_t bytes, const char *name) {
    int code = fault_of(name);
    if (code) return code;
    *out = malloc(bytes);
    memset(*out, 0xA5, bytes);  // fresh memory is never zero
    live++;
    return 0;
}
static int release(void *memory) { free(memory); live--; return 0; }

int cudaGetDeviceCount(int *count) { *count = gpus; return fault_of("cudaGetDeviceCount"); }
int cudaGetDeviceProperties_v2(void *out, int device) { (void)device; memset(out, 0, 1024); strcpy(out, gpu_name); return fault_of("cudaGetDeviceProperties_v2"); }
int cudaDeviceGetAttribute(int *value, int attribute, int device) { (void)device; *value = attribute == 75 ? compute[0] : attribute == 76 ? compute[1] : -1; return 0; }
int cudaMalloc(void **out, size_t bytes) { return reserve(out, bytes, "cudaMalloc"); }
int cudaHostAlloc(void **out, size_t bytes, unsigned flags) { (void)flags; return reserve(out, bytes, "cudaHostAlloc"); }
int cudaFree(void *memory) { return release(memory); }
int cudaFreeHost(void *memory) { return release(memory); }
int cudaStreamCreateWithFlags(void **out, unsigned flags) { return flags == 1 ? reserve(out, 1, "cudaStreamCreateWithFlags") : 1; }
int cudaStreamDestroy(void *stream) { return release(stream); }
int cudaStreamSynchronize(void *stream) { if (!stream) return 400; fake_flush(); return fault_of("cudaStreamSynchronize"); }
int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int kind, void *stream) {
    int code = fault_of("cudaMemcpyAsync");
    if (code || !stream || (kind != 1 && kind != 2) || queued == QUEUED) return code ? code : 1;
    queue[queued].to = to; queue[queued].from = from; queue[queued].bytes = bytes; queued++;
    return 0;
}
const char *cudaGetErrorString(int code) { return code == 2 ? "out of memory" : code == 100 ? "no CUDA-capable device is detected" : "some error"; }
