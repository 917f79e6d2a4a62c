/* SPDX-License-Identifier: Apache-2.0
 * --precision, --calibrate and --calibration: a network in lower precision, and how near its answers are to those of
 * float32. */
#ifndef BRAID_CLI_PRECISION_H
#define BRAID_CLI_PRECISION_H

#include "cli.h"
#include "source.h"

struct cli_precision {
  const char *name; /* NULL: fp32 */
  struct cli_list calibrate;
  const char *calibration, *preprocess; /* of what it is calibrated with; NULL: the default, a guess */
};
#define CLI_PRECISION_OPTIONS(type, member)                                                                            \
  {"precision", 0, CLI_TEXT, offsetof(type, member.name), "fp32|bf16|int8", "fp32",                                    \
   "what convolutions calculate in; lower is faster, and less exact"},                                                 \
      {"calibrate", 0, CLI_LIST, offsetof(type, member.calibrate), "[NAME=]FILE", NULL,                                \
       "with --precision int8: inputs (as of 'braid run --input') that show the ranges of values"},                    \
  {                                                                                                                    \
    "calibration", 0, CLI_TEXT, offsetof(type, member.calibration), "minmax|percentile[:P]|entropy", NULL,             \
        "with --precision int8: how a range is made of the values seen; percentile:99.999 if not given"                 \
  }
/* For commands that read no inputs but these. */
#define CLI_PREPROCESS_OPTION(type, member)                                                                            \
  { "preprocess", 0, CLI_TEXT, offsetof(type, member.preprocess), "HOW", NULL, "of --calibrate; as in 'braid run'" }

/* CLI_DONE, or CLI_USAGE after saying what is wrong. */
int precision_parse(const struct cli_precision *options, enum braid_precision *out);

/* `graph` in that precision (not FP32), calibrated with what the options name, or with the first frames of `inputs`.
 * Both graphs must be kept. The network does not depend on --kernels or --threads: one worker calibrates, with the
 * kernels that are the best for this processor. CLI_DONE or an exit status after saying why. */
int precision_lower(const struct braid_graph *graph, const struct cli_precision *options, struct source *inputs,
                    struct braid_graph **out);

/* Opens the model and brings it into that precision; *out stands for itself. int8 without --calibrate: networks of the
 * zoo, whose weights are pseudo-random, take pseudo-random inputs; others are a wrong use. CLI_DONE or an exit status
 * after saying why. */
int precision_open(const char *model, int batch, const struct cli_precision *options, struct braid_graph **out);

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
