/* SPDX-License-Identifier: Apache-2.0
 * What must hold for any graph: sealed with any passes it keeps its invariants, its ends and its results; and bands can
 * be computed from what braid_graph_needs says. A failure names the seed; BRAID_SEED=... repeats it. */
#include "graph_help.h"
#include "interpret.h"
#include "random_graph.h"

#include <math.h>
#include <string.h>

enum { SEEDS = 40 };

struct sample {
  uint64_t seed;
  unsigned flags, passes;
};

/* The i-th sample: every combination of flags comes with every kind of pass mask. */
static struct sample sample_at(uint64_t seed, int i) {
  struct sample s = {seed + (uint64_t)i / RANDOM_GRAPH_FLAGS, (unsigned)i % RANDOM_GRAPH_FLAGS, BRAID_PASS_ALL};
  if (i % 3) s.passes = (unsigned)(braid_random_u64(seed, (uint64_t)i) % (BRAID_PASS_ALL + 1));
  return s;
}

static struct braid_graph *sealed(const struct sample *s, unsigned passes) {
  struct braid_graph *g = random_graph(s->seed, 1 + (int)(s->seed % 40) * 2, s->flags);
  cr_assert_eq(braid_graph_seal(g, passes), BRAID_OK, "seed %d flags %u passes %u: %s", (int)s->seed, s->flags, passes,
               braid_error());
  cr_assert_eq(braid_graph_check(g), BRAID_OK, "seed %d flags %u passes %u: %s", (int)s->seed, s->flags, passes,
               braid_error());
  return g;
}

/* Inputs and outputs keep their names, types and order; values agree but for rounding. */
static void compare(const struct sample *s, const struct braid_graph *a, const struct braid_graph *b) {
  struct interpretation x = interpret(a, s->seed), y = interpret(b, s->seed);
  int n, m;
  const int *out_a = braid_graph_outputs(a, &n), *out_b = braid_graph_outputs(b, &m);
  cr_assert_eq(n, m);
  for (int i = 0; i < n; i++) {
    const struct braid_node *p = braid_graph_node(a, out_a[i]), *q = braid_graph_node(b, out_b[i]);
    cr_assert_str_eq(p->name, q->name);
    cr_assert_eq(p->dtype, q->dtype);
    cr_assert(braid_shape_equal(&p->shape, &q->shape));
    double difference = tensor_difference(p, x.tensor[out_a[i]], y.tensor[out_b[i]]);
    cr_assert(difference < 1e-4, "seed %d flags %u passes %u: '%s' differs by %g", (int)s->seed, s->flags, s->passes,
              p->name, difference);
  }
  interpretation_release(&x);
  interpretation_release(&y);
}

Test(random, passes_keep_invariants_and_results) {
  uint64_t seed = random_graph_seed(1);
  for (int i = 0; i < SEEDS * RANDOM_GRAPH_FLAGS; i++) {
    struct sample s = sample_at(seed, i);
    struct braid_graph *plain = sealed(&s, 0), *passed = sealed(&s, s.passes);
    cr_assert_leq(braid_graph_size(passed), braid_graph_size(plain));
    compare(&s, plain, passed);
    braid_graph_destroy(&plain);
    braid_graph_destroy(&passed);
  }
}

static void compare_bands(const struct sample *s, const struct braid_graph *g, const struct interpretation *whole,
                          int id, int n_bands) {
  const struct braid_node *node = braid_graph_node(g, id);
  void *out = calloc(1, node->bytes + 1);
  cr_assert(out);
  for (int i = 0; i < n_bands; i++) interpret_band(g, whole, id, braid_slice_band(node->rows, n_bands, i), out);
  cr_assert_eq(memcmp(out, whole->tensor[id], node->bytes), 0, "seed %d flags %u passes %u: '%s' (%s) in %d bands",
               (int)s->seed, s->flags, s->passes, node->name, braid_op_name(node->op), n_bands);
  free(out);
}

Test(random, bands_need_no_more_than_is_said) {
  uint64_t seed = random_graph_seed(2);
  for (int i = 0; i < SEEDS * RANDOM_GRAPH_FLAGS / 2; i++) {
    struct sample s = sample_at(seed, i);
    struct braid_graph *g = sealed(&s, s.passes);
    struct interpretation whole = interpret(g, s.seed);
    for (int id = 0; id < braid_graph_size(g); id++) {
      const struct braid_node *node = braid_graph_node(g, id);
      if (node->op == BRAID_OP_INPUT) continue;
      int n = node->slices_max > 1 ? 1 + (int)(braid_random_u64(seed, (uint64_t)id) % (uint64_t)node->slices_max) : 1;
      compare_bands(&s, g, &whole, id, n);
    }
    interpretation_release(&whole);
    braid_graph_destroy(&g);
  }
}
