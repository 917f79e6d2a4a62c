/* SPDX-License-Identifier: Apache-2.0
 *
 * What follows the exact sums of a quantised convolution (QLINEAR_CONV): y = act(sum * scale + residual) is float32, or
 * rounded and moved by a zero point, or nothing at all. In the order of kernels/ref/qconv.c, so that results are the
 * same bits. Sums are int32, in lanes of floats. */
struct requantize {
  const struct braid_qconv_attrs *a;
  const float *scale;      /* one a channel; NULL: the sums are the result */
  const uint8_t *residual; /* or NULL */
  bool residual_signed;
  uint8_t *y;
  float lo, hi, bottom, top;
};

static struct requantize requantize_of(const struct braid_kernel_args *args) {
  const struct braid_qconv_attrs *a = &args->attrs.qconv;
  struct ending e = ending_of(&args->act);
  bool is_signed = a->to == BRAID_I8;
  return (struct requantize){.a = a,
                             .scale = in_f32(args, 3),
                             .residual = has_in(args, 4) ? args->in[4].data : NULL,
                             .residual_signed = has_in(args, 4) && args->in[4].dtype == BRAID_I8,
                             .y = args->out.data,
                             .lo = e.lo,
                             .hi = e.hi,
                             .bottom = is_signed ? -128.0f : 0.0f,
                             .top = is_signed ? 127.0f : 255.0f};
}

static inline __attribute__((always_inline)) vf scaled(const struct requantize *q, vi sum, vf scale, size_t at, int n) {
  vf x = vf_mul(vi_float(sum), scale);
  if (q->residual) {
    vi r = vi_add(load_bytes(q->residual + at, n, q->residual_signed), vi_set(-q->a->r_zero));
    x = vf_add(x, vf_mul(vi_float(r), vf_set(q->a->r_scale)));
  }
  return vf_min(vf_set(q->hi), vf_max(vf_set(q->lo), x));
}

/* n outputs of one channel, from element `at` of the output on. */
static inline void requantize_line(const struct requantize *q, const float *sums, int n, size_t at, int channel,
                                   int32_t bias) {
  vf scale = vf_set(q->scale ? q->scale[channel] : 0.0f), zero = vf_set((float)q->a->y_zero);
  vf bottom = vf_set(q->bottom), top = vf_set(q->top);
  for (int i = 0; i < n; i += VF) {
    int some = n - i < VF ? n - i : VF;
    vi sum = vi_add(bits_of(load_some(sums + i, some)), vi_set(bias));
    if (!q->scale) {
      store_some((float *)(void *)q->y + at + i, of_bits(sum), some);
      continue;
    }
    vf x = scaled(q, sum, scale, at + (size_t)i, some);
    if (q->a->to == BRAID_F32)
      store_some((float *)(void *)q->y + at + i, x, some);
    else
      store_bytes(q->y + at + i, vf_int(vf_min(top, vf_max(bottom, vf_add(vf_round(x), zero)))), some);
  }
}

/* Bytes of one sign serve all: signed values are moved by 128 on their way in, and their zero point with them. */
static inline uint8_t flip_of(const struct braid_kernel_args *args) { return args->in[0].dtype == BRAID_I8 ? 0x80 : 0; }
static inline int32_t zero_of(const struct braid_kernel_args *args) {
  return args->attrs.qconv.x_zero + (args->in[0].dtype == BRAID_I8 ? 128 : 0);
}
