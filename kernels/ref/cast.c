/* SPDX-License-Identifier: Apache-2.0
 * Cast between any two element types (the rules are in scalar.h). */
#include "scalar.h"

#include "kernel.h"

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  const struct braid_tensor *in = &args->in[0], *out = &args->out;
  struct runs r = runs_of(&out->shape, band);
  for (size_t run = 0; run < r.count; run++)
    for (size_t i = r.first + run * r.stride, end = i + r.n; i < end; i++)
      scalar_store(out->dtype, out->data, i, scalar_load(in->dtype, in->data, i));
}

static bool accepts(const struct braid_kernel_args *args) { return no_act(args); }

const struct braid_kernel kernels_ref_cast[] = {
    {.name = "cast__ref", .op = BRAID_OP_CAST, .sliceable = true, .accepts = accepts, .run = run},
    {0},
};
