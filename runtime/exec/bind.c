/* SPDX-License-Identifier: Apache-2.0
 * Node -> kernel call. */
#include "exec/bind.h"

#include <string.h>

enum braid_status exec_bind_node(const struct braid_graph *graph, int id, struct braid_kernel_args *args) {
  const struct braid_node *node = braid_graph_node(graph, id);
  if (node->n_in > BRAID_MAX_OPERANDS)
    return braid_fail(BRAID_EUNSUPPORTED, "node %s: %s with %d operands; at most %d can be run", node->name,
                      braid_op_name(node->op), node->n_in, BRAID_MAX_OPERANDS);
  memset(args, 0, sizeof *args);
  args->op = node->op;
  args->attrs = node->attrs;
  args->act = node->act;
  args->n_in = node->n_in;
  args->out = (struct braid_tensor){NULL, node->dtype, node->shape};
  for (int k = 0; k < node->n_in; k++) {
    int operand = node->in[k];
    args->present[k] = operand != BRAID_NONE;
    args->constant[k] = braid_is_const(operand);
    if (braid_is_const(operand)) {
      args->in[k] = *braid_graph_constant(graph, operand);
    } else if (braid_is_node(operand)) {
      const struct braid_node *from = braid_graph_node(graph, operand);
      args->in[k] = (struct braid_tensor){NULL, from->dtype, from->shape};
    }
  }
  return BRAID_OK;
}

static bool suits_bands(const struct braid_kernel *kernel, const struct braid_kernel_args *args, int rows) {
  return kernel->sliceable && (!kernel->fewest_rows || kernel->fewest_rows(args) <= rows);
}

const struct braid_kernel *exec_find_kernel(const struct braid_kernel_args *args, uint32_t flags, int slices) {
  const struct braid_kernel *best = braid_kernel_find(args, flags);
  int n, rows = braid_slice_rows(&args->out.shape) / (slices > 1 ? slices : 1);
  if (!best || slices <= 1 || suits_bands(best, args, rows)) return best;
  const struct braid_kernel *const *table = braid_kernels(&n);
  for (int i = 0; i < n; i++)
    if (braid_kernel_can(table[i], args, flags) && braid_kernel_pays(table[i], args) &&
        suits_bands(table[i], args, rows))
      return table[i];
  return best;
}

enum braid_status exec_choose_kernel(const struct braid_graph *graph, int id, const struct braid_kernel_args *args,
                                     uint32_t flags, int slices, const struct braid_kernel **out) {
  const struct braid_kernel *kernel = exec_find_kernel(args, flags, slices);
  if (!kernel)
    return braid_fail(BRAID_EUNSUPPORTED, "node %s: no kernel computes %s giving %s", braid_graph_node(graph, id)->name,
                      braid_op_name(args->op), braid_dtype_name(args->out.dtype));
  *out = kernel;
  return BRAID_OK;
}

size_t exec_packed_bytes(const struct braid_kernel *kernel, const struct braid_kernel_args *args) {
  return kernel->packed_bytes ? kernel->packed_bytes(args) : 0;
}

size_t exec_scratch_bytes(const struct braid_kernel *kernel, const struct braid_kernel_args *args, int rows) {
  return kernel->scratch_bytes ? kernel->scratch_bytes(args, rows) : 0;
}

enum braid_status exec_compute(const struct braid_kernel *kernel, const struct braid_kernel_args *args, int slices) {
  int rows = braid_slice_rows(&args->out.shape);
  if (!kernel->sliceable) slices = 1;
  size_t packed_bytes = exec_packed_bytes(kernel, args);
  size_t scratch_bytes = exec_scratch_bytes(kernel, args, (rows + slices - 1) / slices);
  void *packed = packed_bytes ? braid_alloc_aligned(packed_bytes) : NULL;
  void *scratch = scratch_bytes ? braid_alloc_aligned(scratch_bytes) : NULL;
  bool ready = (packed || !packed_bytes) && (scratch || !scratch_bytes);
  if (ready && packed) kernel->pack(args, packed);
  for (int i = 0; ready && i < slices; i++) kernel->run(args, packed, scratch, braid_slice_band(rows, slices, i));
  braid_free(packed);
  braid_free(scratch);
  if (ready) return BRAID_OK;
  return braid_fail(BRAID_ENOMEM, "no memory to compute %s by %s (%zu bytes)", braid_op_name(args->op), kernel->name,
                    packed_bytes + scratch_bytes);
}

enum braid_status exec_evaluate(const struct braid_kernel_args *args) {
  const struct braid_kernel *kernel = braid_kernel_find(args, 0);
  if (!kernel)
    return braid_fail(BRAID_EUNSUPPORTED, "no reference kernel computes %s giving %s", braid_op_name(args->op),
                      braid_dtype_name(args->out.dtype));
  return braid_shape_elements(&args->out.shape) == 0 ? BRAID_OK : exec_compute(kernel, args, 1);
}

void exec_copy_rows(const struct braid_tensor *from, const struct braid_tensor *to, struct braid_band band) {
  const struct braid_shape *shape = &from->shape;
  int axis = braid_slice_axis(shape);
  size_t outer = 1, inner_bytes = braid_dtype_bytes(from->dtype);
  for (int i = 0; i < axis; i++) outer *= (size_t)shape->dim[i];
  for (int i = axis + 1; i < shape->rank; i++) inner_bytes *= (size_t)shape->dim[i];
  size_t stride = (size_t)braid_slice_rows(shape) * inner_bytes;
  size_t skip = (size_t)band.begin * inner_bytes, bytes = (size_t)(band.end - band.begin) * inner_bytes;
  for (size_t o = 0; o < outer; o++)
    memcpy((char *)to->data + o * stride + skip, (const char *)from->data + o * stride + skip, bytes);
}

bool exec_concat_is_contiguous(const struct braid_node *node) {
  if (node->op != BRAID_OP_CONCAT) return false;
  for (int i = 0; i < node->attrs.axis.axis; i++)
    if (node->shape.dim[i] != 1) return false;
  return true;
}

/* Rows of an operand that rows `band` of the joined tensor come from, when the operand begins at row `first` of it
 * (rows are joined only when the axis is the slice axis; else an operand's rows are the joined tensor's rows). */
static struct braid_band rows_of_operand(struct braid_band band, int first, int rows) {
  struct braid_band own = {band.begin - first, band.end - first};
  if (own.begin < 0) own.begin = 0;
  if (own.end > rows) own.end = rows;
  return own;
}

void exec_join_rows(const struct braid_kernel_args *args, struct braid_band band) {
  bool along_rows = args->attrs.axis.axis == braid_slice_axis(&args->out.shape);
  char *dst = args->out.data;
  int first = 0;
  for (int k = 0; k < args->n_in; k++) {
    const struct braid_tensor *in = &args->in[k];
    struct braid_band rows = band;
    if (along_rows) rows = rows_of_operand(band, first, braid_slice_rows(&in->shape));
    struct braid_tensor to = {dst, in->dtype, in->shape};
    if (in->data != dst && rows.begin < rows.end) exec_copy_rows(in, &to, rows);
    first += braid_slice_rows(&in->shape);
    dst += braid_band_bytes(&in->shape, in->dtype, (struct braid_band){0, braid_slice_rows(&in->shape)});
  }
}
