/* SPDX-License-Identifier: Apache-2.0
 * QuantizeLinear and DequantizeLinear between float32 and bytes, the same bits as kernels/ref/quant.c. */

struct scales {
  const float *scale;
  const struct braid_tensor *zero; /* NULL: 0 */
  size_t n, inner;                 /* the channel of element i is i / inner % n */
};

static bool is_byte(enum braid_dtype dtype) { return dtype == BRAID_U8 || dtype == BRAID_I8; }

static struct scales scales_of(const struct braid_kernel_args *args) {
  const struct braid_shape *shape = &args->out.shape;
  struct scales s = {in_f32(args, 1), has_in(args, 2) ? &args->in[2] : NULL, 1, 1};
  s.n = (size_t)braid_shape_elements(&args->in[1].shape);
  for (int d = args->attrs.axis.axis + 1; d < shape->rank; d++) s.inner *= (size_t)shape->dim[d];
  return s;
}

static int zero_of(const struct scales *s, size_t channel) {
  if (!s->zero) return 0;
  return s->zero->dtype == BRAID_U8 ? ((const uint8_t *)s->zero->data)[channel]
                                    : ((const int8_t *)s->zero->data)[channel];
}

/* n elements of one scale and zero point. */
static void quantize_line(const float *x, uint8_t *y, size_t n, float by, int zero, bool is_signed) {
  vf scale = vf_set(by), move = vf_set((float)zero);
  vf bottom = vf_set(is_signed ? -128.0f : 0.0f), top = vf_set(is_signed ? 127.0f : 255.0f);
  for (size_t i = 0; i < n; i += VF) {
    int some = n - i < VF ? (int)(n - i) : VF;
    vf whole = vf_round(vf_div(some == VF ? vf_load(x + i) : vf_load_n(x + i, some), scale));
    whole = of_bits(vi_select_nan(whole, vi_set(0), bits_of(whole))); /* what is no number becomes the zero point */
    store_bytes(y + i, vf_int(vf_min(top, vf_max(bottom, vf_add(whole, move)))), some);
  }
}

static void dequantize_line(const uint8_t *x, float *y, size_t n, float by, int zero, bool is_signed) {
  vf scale = vf_set(by);
  vi less = vi_set(-zero);
  for (size_t i = 0; i < n; i += VF) {
    int some = n - i < VF ? (int)(n - i) : VF;
    vf value = vf_mul(vi_float(vi_add(load_bytes(x + i, some, is_signed), less)), scale);
    if (some == VF)
      vf_store(y + i, value);
    else
      vf_store_n(y + i, value, some);
  }
}

static void run_line(const struct braid_kernel_args *args, const struct scales *s, size_t at, size_t n) {
  size_t channel = at / s->inner % s->n;
  float scale = s->scale[channel];
  int zero = zero_of(s, channel);
  if (args->op == BRAID_OP_QUANTIZE_LINEAR)
    quantize_line(in_f32(args, 0) + at, (uint8_t *)args->out.data + at, n, scale, zero, args->out.dtype == BRAID_I8);
  else
    dequantize_line((const uint8_t *)args->in[0].data + at, out_f32(args) + at, n, scale, zero,
                    args->in[0].dtype == BRAID_I8);
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed, (void)scratch;
  struct scales s = scales_of(args);
  struct runs r = runs_of(&args->out.shape, band);
  for (size_t i = 0; i < r.count; i++)
    for (size_t at = r.first + i * r.stride, end = at + r.n, next; at < end; at = next) {
      next = s.n == 1 ? end : (at / s.inner + 1) * s.inner;
      if (next > end) next = end;
      run_line(args, &s, at, next - at);
    }
}

static bool accepts(const struct braid_kernel_args *args) {
  bool to = args->op == BRAID_OP_QUANTIZE_LINEAR;
  enum braid_dtype byte = to ? args->out.dtype : args->in[0].dtype, real = to ? args->in[0].dtype : args->out.dtype;
  return no_act(args) && is_byte(byte) && real == BRAID_F32 && args->in[1].dtype == BRAID_F32 &&
         (!has_in(args, 2) || args->in[2].dtype == byte);
}

const struct braid_kernel ISA_TABLE(quant)[] = {
    {.name = "quantize_linear__" ISA_TEXT,
     .op = BRAID_OP_QUANTIZE_LINEAR,
     .needs = ISA_NEEDS,
     .sliceable = true,
     .accepts = accepts,
     .run = run},
    {.name = "dequantize_linear__" ISA_TEXT,
     .op = BRAID_OP_DEQUANTIZE_LINEAR,
     .needs = ISA_NEEDS,
     .sliceable = true,
     .accepts = accepts,
     .run = run},
    {0},
};
