/* SPDX-License-Identifier: Apache-2.0
 * The source of packed_conv.inl for elements of several channels: they are joined line by line, by
 *   join_line(v, j, c, at, n, to)   n elements of group c of channels, from position `at` of their planes
 * and what lies outside of the input is pad_of(v, j). */

/* Stride 1 along the rows: elements are made where they belong. */
static void join_row(const struct conv *v, const struct job *j, int c, int ih, float *to) {
  const struct geometry *g = &v->geo;
  int left = g->a->pad[1], n = g->in.w, right = g->wide - left - n;
  vf pad = pad_of(j);
  for (int i = 0; i < left; i += VF) store_some(to + i, pad, left - i < VF ? left - i : VF);
  join_line(v, j, c, (size_t)ih * (size_t)n, n, to + left);
  for (int i = 0; i < right; i += VF) store_some(to + left + n + i, pad, right - i < VF ? right - i : VF);
}

static void make_row(const struct conv *v, const struct job *j, int c, int ih, float *to, size_t phase) {
  const struct geometry *g = &v->geo;
  if (ih < 0 || ih >= g->in.h) {
    clear_row(g, to, phase, pad_of(j));
  } else if (g->a->stride[1] == 1) {
    join_row(v, j, c, ih, to);
  } else {
    join_line(v, j, c, (size_t)ih * (size_t)g->in.w, g->in.w, j->more);
    spread_row(g, to, phase, j->more, pad_of(j));
  }
}

/* Input and source are alike: all rows in one go. */
static bool is_plain(const struct geometry *g) {
  return g->taps == 1 && g->a->stride[0] == 1 && g->wide == g->in.w && g->out.h == g->in.h && !g->a->pad[0] &&
         !g->a->pad[1];
}

static const float *make_source(const struct conv *v, const struct job *j, int c0, int channels, int first, int rows) {
  const struct geometry *g = &v->geo;
  int high = rows + shift_of(g->a, 0, g->a->kernel[0] - 1);
  size_t phase = (size_t)high * (size_t)g->wide;
  float *to = j->spread;
  for (int c = c0; c < c0 + channels; c++) {
    if (is_plain(g)) {
      join_line(v, j, c, (size_t)first * (size_t)g->in.w, rows * g->in.w, to);
      to += phase;
      continue;
    }
    for (int ph = 0; ph < g->phases[0]; ph++, to += phase * (size_t)g->phases[1])
      for (int r = 0; r < high; r++)
        make_row(v, j, c, (first + r) * g->a->stride[0] + ph - g->a->pad[0], to + (size_t)r * (size_t)g->wide, phase);
  }
  return j->spread;
}

/* A line of the input. */
static size_t line_floats(const struct conv *v) { return ((size_t)v->geo.in.w + VF - 1) / VF * VF; }

/* Rows of packed weights like pack_rows (product.inl), an element a time: element_of(args, v, o, c, tap). */
static float *pack_elements(const struct braid_kernel_args *args, const struct conv *v, int g, int c0, int c1,
                            float *to) {
  for (int row = 0; row < v->o; row += TILE_ROWS)
    for (int c = c0; c < c1; c++)
      for (int t = 0; t < v->geo.taps; t++)
        for (int i = 0; i < TILE_ROWS; i++)
          *to++ = row + i < v->o ? element_of(args, v, g * v->o + row + i, c, t) : 0.0f;
  return to;
}
