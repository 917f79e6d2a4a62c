/* SPDX-License-Identifier: Apache-2.0
 * Where the shared test data is, if it is here: BRAID_TEST_DATA, else ../shared. */
#ifndef TESTS_SUPPORT_TESTDATA_H
#define TESTS_SUPPORT_TESTDATA_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static inline const char *testdata_dir(void) {
  const char *dir = getenv("BRAID_TEST_DATA");
  return dir && *dir ? dir : "../shared";
}

/* The path of `name` in the test data in `buf`, or NULL (after a line that says what is skipped) when it is missing. */
static inline const char *testdata_path(const char *name, char *buf, size_t size) {
  struct stat st;
  snprintf(buf, size, "%s/%s", testdata_dir(), name);
  if (stat(buf, &st) == 0) return buf;
  fprintf(stderr, "SKIPPED: %s is not here (set BRAID_TEST_DATA to the folder that holds %s)\n", buf, name);
  return NULL;
}
#endif
