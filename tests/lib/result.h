/* result: what a test of reliability tried, for the report. */
#ifndef DM_TESTS_RESULT_H
#define DM_TESTS_RESULT_H

#include <stdint.h>

/*
 * Add one line to the file that the environment's DM_RESULTS names; without
 * it nothing is recorded.
 *
 * name     of a line of tests/floors
 * tried    how often
 * found    how many of them went wrong: 0, or the test fails as well
 * seed     that the random ones began with, 0 if nothing was random
 *
 * Any thread and process may add at any time.
 */
void result_add(const char *name, uint64_t tried, uint64_t found,
    uint64_t seed);

#endif
