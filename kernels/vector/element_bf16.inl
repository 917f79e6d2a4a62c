/* SPDX-License-Identifier: Apache-2.0
 * Elements of packed_conv.inl: two channels of bfloat16. The weights are such, the input is rounded on its way into the
 * source, sums are floats. */
#include "outputs_f32.inl"

#define ELEMENT_TABLE ISA_TABLE(packed_conv_bf16)
#define ELEMENT_NAME "conv2d_bf16__packed_"
#define ELEMENT_OP BRAID_OP_CONV
#define ELEMENT_IN_PLACE IN_PLACE_OF(3)

static bool accepts_element(const struct braid_kernel_args *args) { return bf16_weights(args); }

static vf pad_of(const struct job *j) {
  (void)j;
  return vf_set(0.0f);
}

static void join_line(const struct conv *v, const struct job *j, int c, size_t at, int n, float *to) {
  const float *a = j->x + (size_t)(2 * c) * v->geo.in_plane + at;
  bool pair = 2 * c + 1 < v->channels;
  for (int i = 0; i < n; i += VF) {
    int some = n - i < VF ? n - i : VF;
    vf second = pair ? load_some(a + v->geo.in_plane + i, some) : vf_set(0.0f);
    store_some(to + i, join_bf16(load_some(a + i, some), second), some);
  }
}

static float element_of(const struct braid_kernel_args *args, const struct conv *v, int o, int c, int tap) {
  const uint16_t *w = args->in[1].data;
  uint16_t pair[2] = {0};
  float element;
  for (int i = 0; i < 2 && 2 * c + i < v->channels; i++)
    pair[i] = w[((size_t)o * (size_t)v->channels + (size_t)(2 * c + i)) * (size_t)v->geo.taps + (size_t)tap];
  memcpy(&element, pair, sizeof element);
  return element;
}

#include "narrow_source.inl"

static size_t more_floats(const struct conv *v) { return line_floats(v); }
