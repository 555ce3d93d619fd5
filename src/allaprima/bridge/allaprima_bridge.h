/* allaprima's game bridge: give frames, motion vectors and depth to allaprima through shared memory.
 *
 * Header-only, C99 or C++11, for GCC and Clang on Linux and macOS; no library is needed. With -std=c99, define
 * _DEFAULT_SOURCE (on macOS _DARWIN_C_SOURCE) before the first #include. What lies where in memory is documented in
 * layout.py beside this file; how to use it, in docs/bridge.md.
 *
 *     allaprima_bridge bridge;
 *     allaprima_bridge_options options = {0};
 *     options.width = 1280;
 *     options.height = 720;
 *     options.pixel_format = ALLAPRIMA_RGBA8;
 *     options.origin = ALLAPRIMA_BOTTOM;
 *     int error = allaprima_bridge_open(&bridge, "my-game", &options);
 *     ...
 *     allaprima_bridge_frame frame = allaprima_bridge_begin(&bridge);
 *     glReadPixels(0, 0, 1280, 720, GL_RGBA, GL_UNSIGNED_BYTE, frame.pixels);
 *     allaprima_bridge_end(&bridge, 0, 0);
 *     ...
 *     allaprima_bridge_close(&bridge);
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ALLAPRIMA_BRIDGE_H
#define ALLAPRIMA_BRIDGE_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ALLAPRIMA_RGB8 = 1, ALLAPRIMA_RGBA8 = 2, ALLAPRIMA_BGRA8 = 3 };  /* pixel_format */
enum { ALLAPRIMA_TOP = 0, ALLAPRIMA_BOTTOM = 1 };                       /* origin: which row comes first */
enum { ALLAPRIMA_NO_MOTION = 0, ALLAPRIMA_FLOAT32 = 1, ALLAPRIMA_FLOAT16 = 2 }; /* motion */

/* motion_flags. Without any: pixels, x right and y down, from where a point was in the frame before to where it is. */
enum {
    ALLAPRIMA_UV = 1,          /* fractions of the picture's width and height */
    ALLAPRIMA_TO_PREVIOUS = 2, /* from where a point is to where it was, as upscalers want it */
    ALLAPRIMA_Y_UP = 4         /* y grows upward */
};

/* Planes that a frame has beside pixels, for allaprima_bridge_end. */
enum { ALLAPRIMA_HAS_MOTION = 1, ALLAPRIMA_HAS_DEPTH = 2 };

typedef struct {
    uint32_t width, height; /* pixels, 1 to 16384 */
    uint32_t slots;         /* frames in the ring, 2 to 64; 0 for 6 */
    uint32_t pixel_format;
    uint32_t origin;
    uint32_t motion;
    uint32_t motion_flags;
    uint32_t depth;     /* 1: planes of depth, float32: distance along the camera's axis, in any unit */
    uint32_t rate_1000; /* frames in 1000 seconds that the game aims at; 0 where it isn't known */
} allaprima_bridge_options;

typedef struct {
    unsigned char *memory;
    uint64_t size, first_slot, slot_bytes, pixels_at, motion_at, depth_at;
    uint64_t newest;
    uint32_t slots;
    int file;
    char path[1024];
} allaprima_bridge;

/* Where to put the planes of the next frame: tight rows, in the shared memory itself. */
typedef struct {
    void *pixels;
    void *motion; /* two values a pixel; not-a-number where unknown */
    float *depth;
} allaprima_bridge_frame;

static inline uint64_t *allaprima_word_(allaprima_bridge *bridge, uint64_t at) {
    return (uint64_t *)(void *)(bridge->memory + at);
}

static inline uint64_t allaprima_up_(uint64_t value, uint64_t step) { return (value + step - 1) / step * step; }

static inline uint64_t allaprima_slot_(const allaprima_bridge *bridge) {
    return bridge->first_slot + bridge->newest % bridge->slots * bridge->slot_bytes;
}

/* Nanoseconds of the clock by which frames are stamped. */
static inline uint64_t allaprima_bridge_now(void) {
    struct timespec now;
#ifdef __APPLE__
    clock_gettime(CLOCK_UPTIME_RAW, &now);
#else
    clock_gettime(CLOCK_MONOTONIC, &now);
#endif
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* An empty file that is locked as long as it is open; what a dead writer left is removed. Negative: an errno. */
static inline int allaprima_new_file_(const char *path) {
    const struct timespec pause = {0, 10000000};
    int tries;
    for (tries = 0; tries < 30; tries++) {
        struct stat here, there;
        int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (file < 0) return -errno;
        if (flock(file, LOCK_EX | LOCK_NB) != 0) { /* another writer; or a reader that looks whether there is one */
            close(file);
            nanosleep(&pause, NULL);
            continue;
        }
        if (fstat(file, &here) == 0 && stat(path, &there) == 0 && here.st_ino == there.st_ino) {
            if (here.st_size == 0) return file;
            unlink(path); /* not written anew: a reader may still have it mapped */
        }
        close(file);
    }
    return -EBUSY;
}

/* Make a bridge. The name: letters, digits, '.', '_' and '-', at most 64.
 * Returns 0, or an errno: EINVAL an option out of range, EBUSY another program writes to this bridge, ENOSPC no memory. */
static inline int allaprima_bridge_open(allaprima_bridge *bridge, const char *name,
                                        const allaprima_bridge_options *options) {
    const char *folder = access("/dev/shm", F_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
    const uint64_t area = (uint64_t)options->width * options->height;
    const uint64_t channels = options->pixel_format == ALLAPRIMA_RGB8 ? 3 : 4;
    const uint64_t motion_bytes = options->motion == ALLAPRIMA_NO_MOTION ? 0 : options->motion == ALLAPRIMA_FLOAT32 ? 8 : 4;
    uint32_t *numbers;
    uint64_t *places, magic;
    int error;

    memset(bridge, 0, sizeof *bridge);
    bridge->file = -1;
    bridge->slots = options->slots ? options->slots : 6;
    if (options->width < 1 || options->width > 16384 || options->height < 1 || options->height > 16384 ||
        bridge->slots < 2 || bridge->slots > 64 || options->pixel_format < ALLAPRIMA_RGB8 ||
        options->pixel_format > ALLAPRIMA_BGRA8 || options->origin > 1 || options->motion > 2 ||
        options->motion_flags > 7 || options->depth > 1 || !*name || *name == '.' || *name == '_' || *name == '-' ||
        strlen(name) > 64 ||
        name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] != '\0')
        return EINVAL;
    if (!folder || !*folder) folder = "/tmp";
    if ((size_t)snprintf(bridge->path, sizeof bridge->path, "%s/allaprima-%s.bridge", folder, name) >=
        sizeof bridge->path)
        return ENAMETOOLONG;

    bridge->first_slot = 256;
    bridge->pixels_at = 64;
    bridge->motion_at = allaprima_up_(bridge->pixels_at + area * channels, 64);
    bridge->depth_at = allaprima_up_(bridge->motion_at + area * motion_bytes, 64);
    bridge->slot_bytes = allaprima_up_(bridge->depth_at + (options->depth ? area * 4 : 0), 4096);
    bridge->size = bridge->first_slot + bridge->slots * bridge->slot_bytes;

    bridge->file = allaprima_new_file_(bridge->path);
    if (bridge->file < 0) return -bridge->file;
#ifdef __APPLE__
    error = ftruncate(bridge->file, (off_t)bridge->size) == 0 ? 0 : errno;
#else
    error = posix_fallocate(bridge->file, 0, (off_t)bridge->size); /* short of memory it fails here, not later */
#endif
    if (!error) {
        void *memory = mmap(NULL, (size_t)bridge->size, PROT_READ | PROT_WRITE, MAP_SHARED, bridge->file, 0);
        if (memory == MAP_FAILED) error = errno;
        else bridge->memory = (unsigned char *)memory;
    }
    if (error) {
        unlink(bridge->path);
        close(bridge->file);
        bridge->file = -1;
        return error;
    }

    numbers = (uint32_t *)(void *)(bridge->memory + 8);
    numbers[0] = 1;
    numbers[1] = options->width;
    numbers[2] = options->height;
    numbers[3] = bridge->slots;
    numbers[4] = options->pixel_format;
    numbers[5] = options->origin;
    numbers[6] = options->motion;
    numbers[7] = options->motion_flags;
    numbers[8] = options->depth;
    numbers[9] = options->rate_1000;
    places = allaprima_word_(bridge, 48);
    places[0] = bridge->size;
    places[1] = bridge->first_slot;
    places[2] = bridge->slot_bytes;
    places[3] = bridge->pixels_at;
    places[4] = bridge->motion_at;
    places[5] = bridge->depth_at;
    memcpy(&magic, "allaprim", 8);
    __atomic_store_n(allaprima_word_(bridge, 0), magic, __ATOMIC_RELEASE);
    return 0;
}

/* Where the next frame goes. Nobody reads there until allaprima_bridge_end. */
static inline allaprima_bridge_frame allaprima_bridge_begin(allaprima_bridge *bridge) {
    const uint64_t slot = allaprima_slot_(bridge);
    allaprima_bridge_frame frame;
    frame.pixels = bridge->memory + slot + bridge->pixels_at;
    frame.motion = bridge->memory + slot + bridge->motion_at;
    frame.depth = (float *)(void *)(bridge->memory + slot + bridge->depth_at);
    __atomic_store_n(allaprima_word_(bridge, slot), 2 * bridge->newest + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the odd number is there before the first pixel */
    return frame;
}

/* The frame is whole. planes: ALLAPRIMA_HAS_MOTION | ALLAPRIMA_HAS_DEPTH, as far as they were filled.
 * captured: by allaprima_bridge_now when the picture was taken; 0 for now. */
static inline void allaprima_bridge_end(allaprima_bridge *bridge, unsigned planes, uint64_t captured) {
    uint64_t *slot = allaprima_word_(bridge, allaprima_slot_(bridge));
    slot[1] = captured ? captured : allaprima_bridge_now();
    slot[2] = planes;
    bridge->newest++;
    __atomic_store_n(slot, 2 * bridge->newest, __ATOMIC_RELEASE);
    __atomic_store_n(allaprima_word_(bridge, 128), bridge->newest, __ATOMIC_RELEASE);
}

/* Leave, and remove the bridge; safe to call twice, and after a failed allaprima_bridge_open. */
static inline void allaprima_bridge_close(allaprima_bridge *bridge) {
    if (bridge->file < 0) return;
    __atomic_store_n(allaprima_word_(bridge, 136), 1, __ATOMIC_RELEASE);
    unlink(bridge->path);
    munmap(bridge->memory, (size_t)bridge->size);
    close(bridge->file);
    bridge->file = -1;
}

#endif
