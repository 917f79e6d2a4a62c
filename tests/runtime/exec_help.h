/* SPDX-License-Identifier: Apache-2.0
 *
 * Running random graphs under random plans: alone, and as an edge and a cloud joined by a link of the test's own that
 * forwards rows in any order and in any parts. Failures print what and where, and abort. Used by Criterion tests and by
 * the plain thread programs. */
#ifndef TESTS_RUNTIME_EXEC_HELP_H
#define TESTS_RUNTIME_EXEC_HELP_H

#include "braid/runtime.h"

#include <stdio.h>
#include <stdlib.h>

#define ensure(condition, ...)                                                                                         \
  do {                                                                                                                 \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                                                  \
      fprintf(stderr, __VA_ARGS__);                                                                                    \
      fprintf(stderr, "\n");                                                                                           \
      abort();                                                                                                         \
    }                                                                                                                  \
  } while (0)
#define ensure_ok(expr) ensure((expr) == BRAID_OK, "%s", braid_error())

/* A stream of numbers from a seed. */
struct dice {
  uint64_t seed, at;
};
int roll(struct dice *d, int n); /* 0..n-1 */

/* Pseudo-random input tensors of a graph and zeroed output tensors, both owned. */
struct io {
  int n_in, n_out;
  struct braid_tensor *in, *out;
};
void io_make(const struct braid_graph *graph, uint64_t seed, struct io *io);
void io_free(struct io *io);
/* Index of the first output that differs in a bit; -1: none. */
int io_difference(const struct io *a, const struct io *b);
/* Largest |a-b| over the outputs, relative to the largest |a| of each. float32 only. */
double io_distance(const struct io *a, const struct io *b);

struct braid_pool *make_pool(int workers);
struct braid_program *make_program(struct braid_pool *pool, const struct braid_graph *graph,
                                   const struct braid_plan *plan, enum braid_site here, int frames, uint32_t cpu_flags);

/* Runs alone with one worker, whole nodes, reference kernels: the answer that everything else must give. */
void run_reference(const struct braid_graph *graph, struct io *io);
void run_alone(const struct braid_graph *graph, const struct braid_plan *plan, int workers, uint32_t cpu_flags,
               struct io *io);

enum split { SPLIT_NONE, SPLIT_CLOSED, SPLIT_ANY };
/* Random sites, slices and ranks; sometimes serial where it is closed. */
struct braid_plan *random_plan(const struct braid_graph *graph, struct dice *dice, enum split split);

/* Runs `n` frames at once through an edge and a cloud program; io[i] gets the answer of frame i. */
void run_split(const struct braid_graph *graph, const struct braid_plan *plan, int workers, uint64_t seed,
               struct io *io, int n);

#endif
