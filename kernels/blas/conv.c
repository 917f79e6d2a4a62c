/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolution as matrix products. For one image and group the output is [O/g, OH*OW] = w [O/g, K] * col [K, OH*OW],
 * K = C/g * KH * KW, and a band of rows is a range of columns. col is made in panels of columns that stay in the second
 * level cache between their making (im2col), the product, which OpenBLAS writes straight into the output by its leading
 * dimension, and the epilogue. A 1x1 convolution of stride 1 without padding needs no col: its input is the matrix. */
#include "blas.h"

#include "activation.h"

#include <cblas.h>

enum {
  PANEL_BYTES = 768 * 1024, /* of col, or of the larger of input and output panel where there is no col */
  PANEL_COLUMNS_MIN = 96,   /* each product packs the weights again: below this the packing shows */
  PANEL_ALIGN = 16
};

struct conv {
  const struct braid_conv_attrs *a;
  struct image in, out;
  int c, o, k; /* input channels, output channels, products: of one group */
  size_t in_plane, out_plane;
  bool pointwise; /* the input is the matrix */
  int panel;      /* columns */
};

static struct conv conv_of(const struct braid_kernel_args *args) {
  const struct braid_conv_attrs *a = &args->attrs.conv;
  struct conv v = {.a = a, .in = image_of(&args->in[0].shape), .out = image_of(&args->out.shape)};
  v.c = v.in.c / a->group;
  v.o = v.out.c / a->group;
  v.k = v.c * a->kernel[0] * a->kernel[1];
  v.in_plane = (size_t)v.in.h * v.in.w;
  v.out_plane = (size_t)v.out.h * v.out.w;
  v.pointwise = a->kernel[0] == 1 && a->kernel[1] == 1 && a->stride[0] == 1 && a->stride[1] == 1 && a->pad[0] == 0 &&
                a->pad[1] == 0 && a->pad[2] == 0 && a->pad[3] == 0;
  int rows = v.pointwise && v.o > v.k ? v.o : v.k;
  v.panel = PANEL_BYTES / (int)sizeof(float) / rows / PANEL_ALIGN * PANEL_ALIGN;
  if (v.panel < PANEL_COLUMNS_MIN) v.panel = PANEL_COLUMNS_MIN;
  return v;
}

/* Outputs [ow, ow+n) of one output row, for one tap: row[i] = x[(ow + i) * stride + offset], 0 outside the input. */
static void gather_row(float *row, int ow, int n, const float *x, int in_w, int stride, int offset) {
  struct taps t = taps_inside(in_w, stride, ow * stride + offset, n);
  for (int i = 0; i < t.lo; i++) row[i] = 0.0f;
  const float *from = x + (ptrdiff_t)ow * stride + offset;
  if (stride == 1 && t.hi > t.lo)
    memcpy(row + t.lo, from + t.lo, (size_t)(t.hi - t.lo) * sizeof *row);
  else
    for (int i = t.lo; i < t.hi; i++) row[i] = from[(ptrdiff_t)i * stride];
  for (int i = t.hi; i < n; i++) row[i] = 0.0f;
}

/* One row of col, [columns]: tap (kh,kw) of one channel for output pixels [first, first+columns). */
static void col_row(const struct conv *v, float *row, const float *plane, int kh, int kw, int first, int columns) {
  const struct braid_conv_attrs *a = v->a;
  int offset = kw * a->dilation[1] - a->pad[1];
  for (int done = 0, oh = first / v->out.w, ow = first % v->out.w; done < columns; oh++, ow = 0) {
    int n = v->out.w - ow < columns - done ? v->out.w - ow : columns - done;
    int ih = oh * a->stride[0] - a->pad[0] + kh * a->dilation[0];
    if (ih < 0 || ih >= v->in.h)
      memset(row + done, 0, (size_t)n * sizeof *row);
    else
      gather_row(row + done, ow, n, plane + (size_t)ih * v->in.w, v->in.w, a->stride[1], offset);
    done += n;
  }
}

/* col [K, columns] of one group's input x [C/g, H, W]. */
static void im2col(const struct conv *v, float *col, const float *x, int first, int columns) {
  for (int c = 0; c < v->c; c++)
    for (int kh = 0; kh < v->a->kernel[0]; kh++)
      for (int kw = 0; kw < v->a->kernel[1]; kw++, col += columns)
        col_row(v, col, x + (size_t)c * v->in_plane, kh, kw, first, columns);
}

/* One panel of one image and group: x, y and residual are the group's planes, w and bias its own. */
struct panel {
  const float *x, *w, *bias, *residual;
  float *y;
  int first, columns;
};

static void run_panel(const struct conv *v, const struct panel *p, float *col, const struct braid_act *act,
                      conv_finish_fn *finish) {
  const float *b = p->x + p->first;
  int ldb = (int)v->in_plane, ldc = (int)v->out_plane;
  float *y = p->y + p->first;
  if (!v->pointwise) {
    im2col(v, col, p->x, p->first, p->columns);
    b = col;
    ldb = p->columns;
  }
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, v->o, p->columns, v->k, 1.0f, p->w, v->k, b, ldb, 0.0f, y,
              ldc);
  if (!p->bias && !p->residual && act->op == BRAID_ACT_NONE) return;
  for (int o = 0; o < v->o; o++) {
    size_t at = (size_t)o * v->out_plane;
    finish(y + at, p->columns, p->bias ? p->bias[o] : 0.0f, p->residual ? p->residual + p->first + at : NULL, act);
  }
}

void blas_conv_run(const struct braid_kernel_args *args, void *scratch, struct braid_band band,
                   conv_finish_fn *finish) {
  struct conv v = conv_of(args);
  const float *bias = in_f32(args, 2), *residual = in_f32(args, 3);
  int end = band.end * v.out.w;
  blas_ready();
  for (int n = 0; n < v.out.n; n++)
    for (int g = 0; g < v.a->group; g++) {
      size_t in_at = ((size_t)n * v.in.c + (size_t)g * v.c) * v.in_plane;
      size_t out_at = ((size_t)n * v.out.c + (size_t)g * v.o) * v.out_plane;
      struct panel p = {.x = in_f32(args, 0) + in_at,
                        .w = in_f32(args, 1) + (size_t)g * v.o * v.k,
                        .bias = bias ? bias + (size_t)g * v.o : NULL,
                        .residual = residual ? residual + out_at : NULL,
                        .y = out_f32(args) + out_at};
      for (p.first = band.begin * v.out.w; p.first < end; p.first += p.columns) {
        p.columns = end - p.first < v.panel ? end - p.first : v.panel;
        run_panel(&v, &p, scratch, &args->act, finish);
      }
    }
}

size_t blas_conv_scratch_bytes(const struct braid_kernel_args *args, int rows) {
  struct conv v = conv_of(args);
  size_t columns = (size_t)rows * (size_t)v.out.w;
  if (v.pointwise) return 0;
  return (columns < (size_t)v.panel ? columns : (size_t)v.panel) * (size_t)v.k * sizeof(float);
}

/* CBLAS counts in int: planes and products must fit. A group with a single output channel (depthwise) is no matrix
 * product: even the reference is faster than one call for each. */
bool blas_conv_accepts(const struct braid_kernel_args *args) {
  if (!all_f32(args) || args->in[0].shape.rank != 4 || args->out.shape.rank != 4) return false;
  struct image in = image_of(&args->in[0].shape), out = image_of(&args->out.shape);
  const int *kernel = args->attrs.conv.kernel;
  int group = args->attrs.conv.group;
  return in.c > 0 && out.c > 0 && (group == 1 || out.c > group) && (int64_t)in.h * in.w < INT32_MAX &&
         (int64_t)out.h * out.w < INT32_MAX && (int64_t)in.c / group * kernel[0] * kernel[1] < INT32_MAX / 4;
}

static void finish_portable(float *c, int n, float bias, const float *residual, const struct braid_act *act) {
  if (residual)
    for (int i = 0; i < n; i++) c[i] += bias + residual[i];
  else
    for (int i = 0; i < n; i++) c[i] += bias;
  act_run_f32(act, c, (size_t)n);
}

static void run(const struct braid_kernel_args *args, const void *packed, void *scratch, struct braid_band band) {
  (void)packed;
  blas_conv_run(args, scratch, band, finish_portable);
}

const struct braid_kernel kernels_blas_conv[] = {
    {.name = "conv2d_f32__im2col_blas",
     .op = BRAID_OP_CONV,
     .needs = BRAID_CPU_BLAS,
     .sliceable = true,
     .accepts = blas_conv_accepts,
     .scratch_bytes = blas_conv_scratch_bytes,
     .run = run},
    {0},
};
