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
  float lo, hi;      /* of the activation */
  float bottom, top; /* of bytes less their zero point, within the activation's */
};

static float clipped(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

static struct requantize requantize_of(const struct braid_kernel_args *args) {
  const struct braid_qconv_attrs *a = &args->attrs.qconv;
  struct ending e = ending_of(&args->act);
  float low = (float)((a->to == BRAID_I8 ? -128 : 0) - a->y_zero), high = low + 255.0f;
  return (struct requantize){.a = a,
                             .scale = in_f32(args, 3),
                             .residual = has_in(args, 4) ? args->in[4].data : NULL,
                             .residual_signed = has_in(args, 4) && args->in[4].dtype == BRAID_I8,
                             .y = args->out.data,
                             .lo = e.lo,
                             .hi = e.hi,
                             .bottom = clipped(rintf(e.lo), low, high),
                             .top = clipped(rintf(e.hi), low, high)};
}

static inline __attribute__((always_inline)) vf scaled(const struct requantize *q, vi sum, vf scale, size_t at, int n,
                                                       bool residual) {
  vf x = vf_mul(vi_float(sum), scale);
  if (!residual) return x;
  vi r = vi_add(load_bytes(q->residual + at, n, q->residual_signed), vi_set(-q->a->r_zero));
  return vf_add(x, vf_mul(vi_float(r), vf_set(q->a->r_scale)));
}

static inline __attribute__((always_inline)) vi sum_at(const float *sums, const float *columns, int i, int n, vi bias) {
  vi sum = vi_add(bits_of(load_some(sums + i, n)), bias);
  return columns ? vi_add(sum, bits_of(load_some(columns + i, n))) : sum;
}

/* Clipping commutes with rounding, and moving with both, as long as the bounds are whole: the activation's are
 * rounded. */
static inline __attribute__((always_inline)) void put_bytes(const struct requantize *q, const float *sums,
                                                            const float *columns, int n, size_t at, int channel,
                                                            int32_t bias, bool residual) {
  vf scale = vf_set(q->scale[channel]), bottom = vf_set(q->bottom), top = vf_set(q->top);
  vi start = vi_set(bias), zero = vi_set(q->a->y_zero);
  for (int i = 0; i < n; i += VF) {
    int some = n - i < VF ? n - i : VF;
    vf x = scaled(q, sum_at(sums, columns, i, some, start), scale, at + (size_t)i, some, residual);
    store_bytes(q->y + at + i, vi_add(vf_int(vf_min(top, vf_max(bottom, x))), zero), some);
  }
}

static inline void put_floats(const struct requantize *q, const float *sums, const float *columns, int n, size_t at,
                              int channel, int32_t bias) {
  vf scale = vf_set(q->scale[channel]), lo = vf_set(q->lo), hi = vf_set(q->hi);
  float *y = (float *)(void *)q->y + at;
  for (int i = 0; i < n; i += VF) {
    int some = n - i < VF ? n - i : VF;
    vi sum = sum_at(sums, columns, i, some, vi_set(bias));
    vf x = scaled(q, sum, scale, at + (size_t)i, some, q->residual != NULL);
    store_some(y + i, vf_min(hi, vf_max(lo, x)), some);
  }
}

/* n outputs of one channel, from element `at` of the output on. `columns`: what the zero point of the weights adds to
 * each, or NULL. */
static inline void requantize_line(const struct requantize *q, const float *sums, int n, size_t at, int channel,
                                   int32_t bias, const float *columns) {
  if (q->a->to == BRAID_I32)
    for (int i = 0; i < n; i += VF) {
      int some = n - i < VF ? n - i : VF;
      store_some((float *)(void *)q->y + at + i, of_bits(sum_at(sums, columns, i, some, vi_set(bias))), some);
    }
  else if (q->a->to == BRAID_F32)
    put_floats(q, sums, columns, n, at, channel, bias);
  else if (q->residual)
    put_bytes(q, sums, columns, n, at, channel, bias, true);
  else
    put_bytes(q, sums, columns, n, at, channel, bias, false);
}

/* Bytes of one sign serve all: signed values are moved by 128 on their way in, and their zero point with them. */
static inline uint8_t flip_of(const struct braid_kernel_args *args) { return args->in[0].dtype == BRAID_I8 ? 0x80 : 0; }
static inline int32_t zero_of(const struct braid_kernel_args *args) {
  return args->attrs.qconv.x_zero + (args->in[0].dtype == BRAID_I8 ? 128 : 0);
}
