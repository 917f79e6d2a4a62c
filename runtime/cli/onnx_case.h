/* SPDX-License-Identifier: Apache-2.0
 *
 * One case of ONNX's backend test suite: a folder with `model.onnx` and folders `test_data_set_K` of `input_N.pb` and
 * `output_N.pb`, run as any model is and compared as the suite compares. */
#ifndef BRAID_ONNX_CASE_H
#define BRAID_ONNX_CASE_H

#include "cli.h"

enum case_status { CASE_PASSED, CASE_FAILED, CASE_UNSUPPORTED };

struct onnx_case {
  enum case_status status;
  char reason[1024]; /* why not passed, or what was special about passing; else empty */
};

/* What runs the cases. */
struct case_machine {
  struct braid_pool *pool;
  uint32_t cpu_flags;
  const char *round_trip; /* NULL, or a file: graphs are written there, read back, and that is run */
};

const char *case_status_name(enum case_status status);
/* Is the folder a case? */
bool onnx_case_is(const char *dir);
/* All its data sets. The suite feeds as inputs what real files hold as constants (shapes, axes, bounds): inputs stay
 * inputs as long as the importer agrees, else lists and single numbers become constants, else all do; `reason` then
 * says so. */
void onnx_case_run(const char *dir, const struct case_machine *machine, struct onnx_case *out);

#endif
