/* SPDX-License-Identifier: Apache-2.0
 * Elements of packed_conv.inl: floats as they are. */
#include "outputs_f32.inl"

#define ELEMENT_TABLE ISA_TABLE(packed_conv)
#define ELEMENT_NAME "conv2d_f32__packed_"
#define ELEMENT_OP BRAID_OP_CONV
#define ELEMENT_IN_PLACE IN_PLACE_OF(3)

static bool accepts_element(const struct braid_kernel_args *args) { return all_f32(args); }

static const float *make_source(const struct conv *v, const struct job *j, int c0, int channels, int first, int rows) {
  const float *x = j->x + (size_t)c0 * v->geo.in_plane;
  if (v->geo.in_place) return x + (size_t)first * (size_t)v->geo.in.w;
  spread(&v->geo, j->spread, x, channels, first, rows);
  return j->spread;
}

static size_t more_floats(const struct conv *v) {
  (void)v;
  return 0;
}

static float *pack_elements(const struct braid_kernel_args *args, const struct conv *v, int g, int c0, int c1,
                            float *to) {
  size_t k = (size_t)v->c * (size_t)v->geo.taps;
  return pack_rows(to, in_f32(args, 1) + (size_t)g * (size_t)v->o * k, k, v->o, c0 * v->geo.taps, c1 * v->geo.taps);
}
