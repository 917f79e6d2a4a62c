/* SPDX-License-Identifier: Apache-2.0
 * --precision and --calibrate: a network in lower precision, and how near its answers are to those of float32. */
#ifndef BRAID_CLI_PRECISION_H
#define BRAID_CLI_PRECISION_H

#include "cli.h"
#include "source.h"

struct cli_precision {
  const char *name;
  struct cli_list calibrate;
};
#define CLI_PRECISION_OPTIONS(type, member)                                                                            \
  {"precision", 0, CLI_TEXT, offsetof(type, member.name), "fp32|bf16|int8", "fp32",                                    \
   "what convolutions calculate in; lower is faster, and its answers are compared with those of fp32"},                \
  {                                                                                                                    \
    "calibrate", 0, CLI_LIST, offsetof(type, member.calibrate), "[NAME=]FILE", NULL,                                   \
        "with --precision int8: inputs (as of --input) that show the ranges of values; a few of the inputs if not given" \
  }

/* CLI_DONE, or CLI_USAGE after saying what is wrong. */
int precision_parse(const struct cli_precision *options, enum braid_precision *out);

/* `graph` in that precision (not FP32), calibrated with what the options name, or with the first frames of `inputs`. Both
 * graphs must be kept. CLI_DONE or an exit status after saying why. */
int precision_lower(const struct braid_graph *graph, const struct cli_precision *options, const char *preprocess,
                    struct source *inputs, const struct cli_machine *machine, struct braid_graph **out);

/* Answers of two precisions, frame by frame. */
struct precision_sums {
  double worst, square, peak; /* largest difference, sum of squared ones, largest value of fp32 */
  int64_t values;
  int images, same_top1, same_top5; /* where there are scores: the same first class; fp32's first among the five */
};
BRAID_NODISCARD enum braid_status precision_compare(struct precision_sums *sums, const struct braid_tensor *want,
                                                    const struct braid_tensor *got);
/* {name, agreement_top1, agreement_top5, max_abs_diff, psnr_db, ms, fp32_ms, speedup}; agreements are null where there are no
 * scores, psnr_db is null where nothing differs. */
json_t *precision_json(enum braid_precision precision, const struct precision_sums *sums, double ms, double fp32_ms);
void precision_print(const json_t *precision);

#endif
