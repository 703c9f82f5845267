// SPDX-License-Identifier: MIT
// What every test program includes first: cmocka with the headers it wants in front of it, and
// random numbers that can be had again.
//
//     ZCB_SEED=123      the seed to start from; without it one is made up, and printed either way
//     ZCB_ROUNDS=10     how many times longer than usual a random test runs

#ifndef ZCB_TESTING_H
#define ZCB_TESTING_H

#ifdef NDEBUG
#error "tests are made of assertions: build them without NDEBUG"
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline uint64_t
zcb_test_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : otherwise;
}

// One step of splitmix64: any state is a good one, zero included.
static inline uint64_t
zcb_test_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

// 0 to below - 1; the bias of the remainder does not matter to a test.
static inline size_t
zcb_test_below(uint64_t *state, size_t below)
{
    return below == 0 ? 0 : (size_t)(zcb_test_random(state) % below);
}

// The seed of this run, printed so that a failure can be had again.
static inline uint64_t
zcb_test_seed(void)
{
    uint64_t made_up = (uint64_t)time(NULL) * 1000003u + (uint64_t)clock();
    uint64_t seed = zcb_test_env("ZCB_SEED", zcb_test_random(&made_up) >> 32);
    fprintf(stderr, "ZCB_SEED=%" PRIu64 "\n", seed);
    return seed;
}

// `usual`, or as many times that as ZCB_ROUNDS asks for.
static inline size_t
zcb_test_rounds(size_t usual)
{
    return usual * (size_t)zcb_test_env("ZCB_ROUNDS", 1);
}

#endif
