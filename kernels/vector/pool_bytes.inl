/* SPDX-License-Identifier: Apache-2.0
 * MaxPool of bytes. The largest of a window's rows goes into a line with padding on both sides, in which every tap of its
 * columns is a shift. Signed bytes are moved by 128, so that 0 is the least of both kinds. */
enum { STEP = 16 };

struct pool_line {
  const struct braid_pool_attrs *a;
  struct image in;
  int out_w;
  uint8_t flip;
  uint8_t *line; /* scratch: out_w windows and a vector */
};

static size_t line_bytes(const struct braid_pool_attrs *a, int in_w, int out_w) {
  size_t windows = (size_t)(out_w - 1) * (size_t)a->stride[1] + (size_t)(a->kernel[1] - 1) * (size_t)a->dilation[1] + 1;
  size_t held = (size_t)a->pad[1] + (size_t)in_w;
  return (windows > held ? windows : held) + (size_t)(STEP * 2 * (a->stride[1] > 1 ? 2 : 1));
}

static void max_of_rows(const struct pool_line *p, const uint8_t *plane, int first) {
  const __m128i flip = _mm_set1_epi8((char)p->flip);
  uint8_t *to = p->line + p->a->pad[1];
  for (int i = 0; i < p->in.w; i += STEP) {
    int some = p->in.w - i < STEP ? p->in.w - i : STEP;
    __m128i most = _mm_setzero_si128();
    for (int kh = 0; kh < p->a->kernel[0]; kh++) {
      int ih = first + kh * p->a->dilation[0];
      if (ih < 0 || ih >= p->in.h) continue;
      most = _mm_max_epu8(most, _mm_xor_si128(some_bytes(plane + (size_t)ih * (size_t)p->in.w + i, some), flip));
    }
    _mm_storeu_si128((__m128i *)(void *)(to + i), most);
  }
  /* What the last vector holds beyond the row is no value. */
  memset(to + p->in.w, 0, line_bytes(p->a, p->in.w, p->out_w) - (size_t)p->a->pad[1] - (size_t)p->in.w);
}

static inline __m128i load_line(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }

/* Every stride-th byte. */
static inline __m128i load_steps(const uint8_t *p, int stride, int n) {
  const __m128i low = _mm_set1_epi16(0xff);
  uint8_t picked[STEP] = {0};
  if (stride == 1) return load_line(p);
  if (stride == 2) return _mm_packus_epi16(_mm_and_si128(load_line(p), low), _mm_and_si128(load_line(p + STEP), low));
  for (int i = 0; i < n; i++) picked[i] = p[(size_t)i * (size_t)stride];
  return load_line(picked);
}

static void max_of_columns(const struct pool_line *p, uint8_t *y) {
  const __m128i flip = _mm_set1_epi8((char)p->flip);
  int stride = p->a->stride[1];
  for (int o = 0; o < p->out_w; o += STEP) {
    int some = p->out_w - o < STEP ? p->out_w - o : STEP;
    __m128i most = _mm_setzero_si128();
    for (int kw = 0; kw < p->a->kernel[1]; kw++)
      most = _mm_max_epu8(most, load_steps(p->line + (size_t)o * (size_t)stride + (size_t)kw * (size_t)p->a->dilation[1],
                                           stride, some));
    store_some_bytes(y + o, _mm_xor_si128(most, flip), some);
  }
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  struct image out = image_of(&args->out.shape);
  struct pool_line p = {&args->attrs.pool, image_of(&args->in[0].shape), out.w,
                        args->out.dtype == BRAID_I8 ? 0x80 : 0, scratch};
  (void)packed;
  memset(p.line, 0, (size_t)p.a->pad[1]);
  for (size_t plane = 0; plane < (size_t)out.n * (size_t)out.c; plane++)
    for (int oh = band.begin; oh < band.end; oh++) {
      const uint8_t *from = (const uint8_t *)args->in[0].data + plane * (size_t)p.in.h * (size_t)p.in.w;
      max_of_rows(&p, from, oh * p.a->stride[0] - p.a->pad[0]);
      max_of_columns(&p, (uint8_t *)args->out.data + (plane * (size_t)out.h + (size_t)oh) * (size_t)out.w);
    }
}

static size_t scratch_bytes(const struct braid_kernel_args *args, int rows) {
  (void)rows;
  return line_bytes(&args->attrs.pool, args->in[0].shape.dim[3], args->out.shape.dim[3]);
}

static bool accepts(const struct braid_kernel_args *args) {
  enum braid_dtype dtype = args->out.dtype;
  return (dtype == BRAID_U8 || dtype == BRAID_I8) && args->in[0].dtype == dtype && no_act(args) &&
         args->in[0].shape.rank == 4 && args->out.shape.rank == 4;
}

const struct braid_kernel ISA_TABLE(pool_bytes)[] = {
    {.name = "max_pool_bytes__" ISA_TEXT,
     .op = BRAID_OP_MAX_POOL,
     .needs = ISA_NEEDS,
     .sliceable = true,
     .accepts = accepts,
     .scratch_bytes = scratch_bytes,
     .run = run},
    {0},
};
