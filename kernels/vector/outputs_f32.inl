/* SPDX-License-Identifier: Apache-2.0
 * Outputs of packed_conv.inl whose sums are floats: bias, residual and activation follow in the tile. */
struct outputs {
  const float *bias, *residual; /* of the group, or NULL */
  float *y;
};

static struct outputs outputs_of(const struct braid_kernel_args *args, const struct conv *v, const void *packed, int n,
                                 int g) {
  const float *bias = in_f32(args, 2), *residual = in_f32(args, 3);
  size_t at = ((size_t)n * (size_t)v->geo.out.c + (size_t)g * (size_t)v->o) * v->geo.out_plane;
  (void)packed;
  return (struct outputs){bias ? bias + (size_t)g * (size_t)v->o : NULL, residual ? residual + at : NULL,
                          out_f32(args) + at};
}

/* Rows from `o` on, columns from `at` on, in tile number `index` of its group; no vectors: a single column. `begins`: the
 * first block of k. */
static void put_tile(const struct conv *v, const struct job *j, struct tile *t, const struct ending *e, int o, size_t at,
                     bool begins, int vectors, int index) {
  (void)index;
  size_t out_at = (size_t)o * v->geo.out_plane + at;
  t->ldy = v->geo.out_plane;
  t->bias = j->out->bias ? j->out->bias + o : NULL;
  t->y = j->out->y + out_at;
  t->onto = !begins ? t->y : j->out->residual ? j->out->residual + out_at : NULL;
  if (vectors)
    tile_run(t, e, vectors);
  else
    column_run(t, e);
}

static size_t packed_more(const struct conv *v) {
  (void)v;
  return 0;
}

static void pack_more(const struct braid_kernel_args *args, const struct conv *v, float *to) {
  (void)args, (void)v, (void)to;
}
