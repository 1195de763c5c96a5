/* A stand-in for libnvidia-ml.so.1 that tells whatever a test wants to hear.
 *
 *   gcc -shared -fPIC -O2 -o libnvidia-ml.so.1 nvml_stub.c
 *
 * NVML_STUB names a text file of "key value" lines, read again whenever it changes. Keys:
 *
 *   gpus 2                       number of cards
 *   driver 580.65.06             driver version          cuda 13000   CUDA version of the driver
 *   rc.nvmlInitWithFlags 9       return code of a function, for all cards
 *   gpu1.rc.nvmlDeviceGetName 3  … for one card; codes as in nvml.h
 *   gpu0.name, gpu0.uuid         text
 *   gpu0.total 80  gpu0.used 20  GiB
 *   gpu0.capability 8.0          gpu0.util 42   gpu0.temp 61   gpu0.power 250   gpu0.limit 400
 *   gpu0.compute 12:2048 13:-    processes as pid:MiB, "-" for memory the driver does not tell
 *   gpu0.graphics …              likewise
 *   gpu0.mig 1                   MIG is on; gpu0.slices 3 slices of gpu0.slice_total GiB, gpu0.slice_used
 *
 * A key without "gpuN." holds for every card that has none of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NOT_SUPPORTED 3
#define INVALID_ARGUMENT 2
#define NOT_FOUND 6
#define INSUFFICIENT_SIZE 7
#define SLICE_STRIDE 64 /* a handle is 1 + card * SLICE_STRIDE + (slice + 1, or 0 for the card itself) */
#define GIB 1073741824.0

typedef int Return;
typedef void *Device;

static char facts[1 << 16];
static struct timespec facts_time;

static void refresh(void) {
    const char *path = getenv("NVML_STUB");
    struct stat now;
    if (!path || stat(path, &now) || !memcmp(&now.st_mtim, &facts_time, sizeof facts_time)) return;
    FILE *file = fopen(path, "r");
    if (!file) return;
    facts[fread(facts, 1, sizeof facts - 1, file)] = 0;
    fclose(file);
    facts_time = now.st_mtim;
}

/* The value of a key, copied to `value`; 0 when the file has no such key. */
static int exact(const char *key, char *value, size_t room) {
    size_t length = strlen(key);
    for (const char *line = facts; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncmp(line, key, length) || line[length] != ' ') continue;
        const char *start = line + length + 1;
        size_t size = strcspn(start, "\n");
        if (size >= room) size = room - 1;
        memcpy(value, start, size);
        value[size] = 0;
        return 1;
    }
    return 0;
}

static int card(Device device) { return (int)(((long)device - 1) / SLICE_STRIDE); }
static int slice(Device device) { return (int)(((long)device - 1) % SLICE_STRIDE) - 1; }
static Device handle(int of_card, int of_slice) { return (Device)(long)(1 + of_card * SLICE_STRIDE + of_slice + 1); }

static int look_up(Device device, const char *key, char *value, size_t room) {
    char own[96];
    refresh();
    if (device) {
        snprintf(own, sizeof own, "gpu%d.%s", card(device), key);
        if (exact(own, value, room)) return 1;
    }
    return exact(key, value, room);
}

static double number(Device device, const char *key, double otherwise) {
    char value[64];
    return look_up(device, key, value, sizeof value) ? atof(value) : otherwise;
}

static void text(Device device, const char *key, const char *otherwise, char *out, unsigned room) {
    if (!look_up(device, key, out, room)) snprintf(out, room, "%s", otherwise);
}

static Return code(Device device, const char *function) {
    char key[96];
    snprintf(key, sizeof key, "rc.%s", function);
    return (Return)number(device, key, 0);
}

#define FAIL_IF_TOLD(device) do { Return rc = code(device, __func__); if (rc) return rc; } while (0)

Return nvmlInitWithFlags(unsigned flags) { (void)flags; FAIL_IF_TOLD(0); return 0; }
Return nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
Return nvmlInit(void) { return nvmlInitWithFlags(0); }
Return nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(Return rc) { (void)rc; return "as told by the test"; }

Return nvmlSystemGetDriverVersion(char *out, unsigned room) {
    FAIL_IF_TOLD(0);
    text(0, "driver", "580.65.06", out, room);
    return 0;
}
Return nvmlSystemGetNVMLVersion(char *out, unsigned room) { snprintf(out, room, "13.580.65.06"); return 0; }
Return nvmlSystemGetCudaDriverVersion(int *version) {
    FAIL_IF_TOLD(0);
    *version = (int)number(0, "cuda", 13000);
    return 0;
}
Return nvmlSystemGetCudaDriverVersion_v2(int *version) {
    FAIL_IF_TOLD(0);
    *version = (int)number(0, "cuda", 13000);
    return 0;
}

Return nvmlDeviceGetCount_v2(unsigned *count) {
    FAIL_IF_TOLD(0);
    *count = (unsigned)number(0, "gpus", 1);
    return 0;
}
Return nvmlDeviceGetHandleByIndex_v2(unsigned index, Device *device) {
    if (index >= number(0, "gpus", 1)) return INVALID_ARGUMENT;
    FAIL_IF_TOLD(handle((int)index, -1));
    *device = handle((int)index, -1);
    return 0;
}
Return nvmlDeviceGetIndex(Device device, unsigned *index) { *index = (unsigned)card(device); return 0; }

Return nvmlDeviceGetName(Device device, char *out, unsigned room) {
    FAIL_IF_TOLD(device);
    text(device, "name", "NVIDIA A100-SXM4-80GB", out, room);
    if (slice(device) >= 0) strncat(out, " MIG 1g.10gb", room - strlen(out) - 1);
    return 0;
}
Return nvmlDeviceGetUUID(Device device, char *out, unsigned room) {
    char otherwise[64];
    FAIL_IF_TOLD(device);
    if (slice(device) >= 0) {
        snprintf(out, room, "MIG-%08x-0000-0000-0000-%012x", card(device), slice(device));
        return 0;
    }
    snprintf(otherwise, sizeof otherwise, "GPU-%08x-0000-0000-0000-000000000000", card(device) + 0xa0);
    text(device, "uuid", otherwise, out, room);
    return 0;
}

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } MemoryV2;

Return nvmlDeviceGetMemoryInfo(Device device, Memory *memory) {
    FAIL_IF_TOLD(device);
    int part = slice(device) >= 0;
    memory->total = (unsigned long long)(number(device, part ? "slice_total" : "total", part ? 10 : 80) * GIB);
    memory->used = (unsigned long long)(number(device, part ? "slice_used" : "used", 0) * GIB);
    memory->free = memory->total - memory->used;
    return 0;
}
Return nvmlDeviceGetMemoryInfo_v2(Device device, MemoryV2 *memory) {
    Memory simple;
    Return rc = nvmlDeviceGetMemoryInfo(device, &simple);
    if (rc) return rc;
    memory->total = simple.total;
    memory->reserved = 0;
    memory->free = simple.free;
    memory->used = simple.used;
    return 0;
}

typedef struct { unsigned gpu, memory; } Utilisation;
Return nvmlDeviceGetUtilizationRates(Device device, Utilisation *rates) {
    FAIL_IF_TOLD(device);
    if (slice(device) >= 0) return NOT_SUPPORTED;
    rates->gpu = (unsigned)number(device, "util", 42);
    rates->memory = 17;
    return 0;
}
Return nvmlDeviceGetTemperature(Device device, int sensor, unsigned *degrees) {
    (void)sensor;
    FAIL_IF_TOLD(device);
    if (slice(device) >= 0) return NOT_SUPPORTED;
    *degrees = (unsigned)number(device, "temp", 61);
    return 0;
}
typedef struct { unsigned version; int sensor, degrees; } Temperature;
Return nvmlDeviceGetTemperatureV(Device device, Temperature *temperature) {
    FAIL_IF_TOLD(device);
    if (slice(device) >= 0) return NOT_SUPPORTED;
    temperature->degrees = (int)number(device, "temp", 61);
    return 0;
}
Return nvmlDeviceGetPowerUsage(Device device, unsigned *milliwatts) {
    FAIL_IF_TOLD(device);
    *milliwatts = (unsigned)(number(device, "power", 250) * 1000);
    return 0;
}
Return nvmlDeviceGetEnforcedPowerLimit(Device device, unsigned *milliwatts) {
    FAIL_IF_TOLD(device);
    *milliwatts = (unsigned)(number(device, "limit", 400) * 1000);
    return 0;
}
Return nvmlDeviceGetCudaComputeCapability(Device device, int *major, int *minor) {
    char value[16];
    FAIL_IF_TOLD(device);
    text(device, "capability", "8.0", value, sizeof value);
    return sscanf(value, "%d.%d", major, minor) == 2 ? 0 : NOT_FOUND;
}

typedef struct { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; } Process;

static Return processes(Device device, const char *key, unsigned *count, Process *out) {
    char listed[4096], *rest = listed, *one;
    unsigned found = 0;
    text(device, key, "", listed, sizeof listed);
    while ((one = strtok_r(rest, " ", &rest))) {
        char *memory = strchr(one, ':');
        if (out && found < *count) {
            out[found].pid = (unsigned)strtoul(one, 0, 10);
            out[found].memory = memory && memory[1] != '-' ? strtoull(memory + 1, 0, 10) << 20 : ~0ULL;
            out[found].gpu_instance = out[found].compute_instance = ~0u;
        }
        found++;
    }
    int fits = found <= *count && (out || !found);
    *count = found;
    return fits ? 0 : INSUFFICIENT_SIZE;
}
Return nvmlDeviceGetComputeRunningProcesses_v3(Device device, unsigned *count, Process *out) {
    FAIL_IF_TOLD(device);
    return processes(device, "compute", count, out);
}
Return nvmlDeviceGetComputeRunningProcesses_v2(Device device, unsigned *count, Process *out) {
    FAIL_IF_TOLD(device);
    return processes(device, "compute", count, out);
}
Return nvmlDeviceGetGraphicsRunningProcesses_v3(Device device, unsigned *count, Process *out) {
    FAIL_IF_TOLD(device);
    return processes(device, "graphics", count, out);
}
Return nvmlDeviceGetGraphicsRunningProcesses_v2(Device device, unsigned *count, Process *out) {
    FAIL_IF_TOLD(device);
    return processes(device, "graphics", count, out);
}

Return nvmlDeviceGetMigMode(Device device, unsigned *current, unsigned *pending) {
    FAIL_IF_TOLD(device);
    int mode = (int)number(device, "mig", -1);
    if (mode < 0) return NOT_SUPPORTED;
    *current = *pending = (unsigned)mode;
    return 0;
}
Return nvmlDeviceGetMaxMigDeviceCount(Device device, unsigned *count) {
    FAIL_IF_TOLD(device);
    *count = 7;
    return 0;
}
Return nvmlDeviceGetMigDeviceHandleByIndex(Device device, unsigned index, Device *mig) {
    FAIL_IF_TOLD(device);
    if (index >= number(device, "slices", 0)) return NOT_FOUND;
    *mig = handle(card(device), (int)index);
    return 0;
}
Return nvmlDeviceGetGpuInstanceId(Device device, unsigned *id) { *id = (unsigned)slice(device) + 7; return 0; }
Return nvmlDeviceGetComputeInstanceId(Device device, unsigned *id) { (void)device; *id = 0; return 0; }
