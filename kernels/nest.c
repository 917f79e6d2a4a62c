/* SPDX-License-Identifier: Apache-2.0
 * Loop nests: see nest.h. */
#include "nest.h"

void dense_strides(const struct braid_shape *shape, ptrdiff_t stride[BRAID_MAX_RANK]) {
  ptrdiff_t step = 1;
  for (int d = shape->rank - 1; d >= 0; d--) {
    stride[d] = step;
    step *= shape->dim[d];
  }
}

static void add_operand(struct nest *nest, const ptrdiff_t *stride, ptrdiff_t base, int axis, struct braid_band band) {
  int k = nest->n_operands++;
  assert(k < NEST_OPERANDS);
  for (int d = 0; d < nest->rank; d++) nest->stride[k][d] = stride[d];
  nest->base[k] = base + (axis >= 0 ? band.begin * stride[axis] : 0);
}

void nest_init(struct nest *nest, const struct braid_shape *out, struct braid_band band) {
  ptrdiff_t stride[BRAID_MAX_RANK] = {0};
  int axis = braid_slice_axis(out);
  nest->n_operands = 0;
  nest->rank = out->rank;
  for (int d = 0; d < out->rank; d++) nest->dim[d] = d == axis ? band.end - band.begin : out->dim[d];
  dense_strides(out, stride);
  add_operand(nest, stride, 0, axis, band);
}

void nest_broadcast(struct nest *nest, const struct braid_shape *in, struct braid_band band) {
  ptrdiff_t dense[BRAID_MAX_RANK] = {0}, stride[BRAID_MAX_RANK] = {0};
  /* The nest's rank is still the output's here: merging waits for nest_start. */
  struct braid_shape out = {.rank = nest->rank};
  int shift = nest->rank - in->rank;
  assert(shift >= 0);
  dense_strides(in, dense);
  for (int d = 0; d < in->rank; d++) stride[d + shift] = in->dim[d] == 1 ? 0 : dense[d];
  add_operand(nest, stride, 0, braid_slice_axis(&out), band);
}

void nest_strided(struct nest *nest, const struct braid_shape *out, const ptrdiff_t *stride, ptrdiff_t base,
                  struct braid_band band) {
  add_operand(nest, stride, base, braid_slice_axis(out), band);
}

/* Can dimension d+1 be walked as the continuation of d? */
static bool mergeable(const struct nest *nest, int d) {
  for (int k = 0; k < nest->n_operands; k++)
    if (nest->stride[k][d] != nest->stride[k][d + 1] * nest->dim[d + 1]) return false;
  return true;
}

static void remove_dim(struct nest *nest, int d) {
  nest->rank--;
  for (int e = d; e < nest->rank; e++) {
    nest->dim[e] = nest->dim[e + 1];
    for (int k = 0; k < nest->n_operands; k++) nest->stride[k][e] = nest->stride[k][e + 1];
  }
}

static void merge(struct nest *nest) {
  for (int d = nest->rank - 1; d >= 0; d--)
    if (nest->dim[d] == 1) remove_dim(nest, d);
  for (int d = nest->rank - 2; d >= 0; d--)
    if (mergeable(nest, d)) {
      nest->dim[d + 1] *= nest->dim[d];
      remove_dim(nest, d);
    }
  if (nest->rank > 0 && nest->stride[0][nest->rank - 1] == 1) return;
  /* A single element, or a band one column wide: runs of one element keep the output's step 1. */
  nest->dim[nest->rank] = 1;
  for (int k = 0; k < nest->n_operands; k++) nest->stride[k][nest->rank] = 1;
  nest->rank++;
}

bool nest_start(struct nest *nest) {
  for (int d = 0; d < nest->rank; d++)
    if (nest->dim[d] <= 0) return false;
  merge(nest);
  memset(nest->i, 0, sizeof nest->i);
  memcpy(nest->at, nest->base, sizeof nest->at);
  return true;
}

bool nest_next(struct nest *nest) {
  for (int d = nest->rank - 2; d >= 0; d--) {
    for (int k = 0; k < nest->n_operands; k++) nest->at[k] += nest->stride[k][d];
    if (++nest->i[d] < nest->dim[d]) return true;
    for (int k = 0; k < nest->n_operands; k++) nest->at[k] -= nest->stride[k][d] * nest->dim[d];
    nest->i[d] = 0;
  }
  return false;
}

#define COPY(T)                                                                                                        \
  do {                                                                                                                 \
    T *d = dst;                                                                                                        \
    const T *s = src;                                                                                                  \
    for (ptrdiff_t i = 0; i < n; i++) d[i * dst_step] = s[i * src_step];                                               \
  } while (0)

static void copy_run(void *dst, ptrdiff_t dst_step, const void *src, ptrdiff_t src_step, ptrdiff_t n, size_t bytes) {
  if (dst_step == 1 && src_step == 1) {
    memcpy(dst, src, (size_t)n * bytes);
    return;
  }
  switch (bytes) {
  case 1: COPY(uint8_t); break;
  case 2: COPY(uint16_t); break;
  case 4: COPY(uint32_t); break;
  default: COPY(uint64_t); break;
  }
}

/* Copies operand `from` to operand `to`. */
static void copy(struct nest *nest, int to, void *dst, int from, const void *src, size_t bytes) {
  if (!nest_start(nest)) return;
  ptrdiff_t size = (ptrdiff_t)bytes, n = (ptrdiff_t)nest_run(nest);
  do
    copy_run((char *)dst + nest->at[to] * size, nest_step(nest, to), (const char *)src + nest->at[from] * size,
             nest_step(nest, from), n, bytes);
  while (nest_next(nest));
}

void nest_copy(struct nest *nest, void *dst, const void *src, size_t bytes) { copy(nest, 0, dst, 1, src, bytes); }

void nest_copy_back(struct nest *nest, void *dst, const void *src, size_t bytes) { copy(nest, 1, dst, 0, src, bytes); }
