/* SPDX-License-Identifier: Apache-2.0
 * Unary operators (math.inl) over the runs of a band. */
#include "math.inl"

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  struct runs r = runs_of(&args->out.shape, band);
  for (size_t i = 0; i < r.count; i++) {
    size_t at = r.first + i * r.stride;
    unary_run(args->op, args->attrs.unary, out_f32(args) + at, in_f32(args, 0) + at, r.n);
    vf_act_run(&args->act, out_f32(args) + at, r.n);
  }
}

/* Gelu by tanh is left to the reference. */
static bool accepts(const struct braid_kernel_args *args) {
  return all_f32(args) && !(args->op == BRAID_OP_GELU && args->attrs.unary.a != 0.0f);
}

const struct braid_kernel ISA_TABLE(unary)[] = {
#define X(id, text)                                                                                                    \
  {.name = text "_f32__" ISA_TEXT,                                                                                     \
   .op = BRAID_OP_##id,                                                                                                \
   .needs = ISA_NEEDS,                                                                                                 \
   .in_place = IN_PLACE_OF(0),                                                                                         \
   .sliceable = true,                                                                                                  \
   .accepts = accepts,                                                                                                 \
   .run = run},
    VECTOR_UNARY_OPS(X)
#undef X
        {0},
};
