/* SPDX-License-Identifier: Apache-2.0 */
#include "outputs.h"

#include "io.h"

#include <string.h>

static enum braid_status allocate(const struct braid_graph *graph, int frames, struct outputs *out) {
  const int *id = braid_graph_outputs(graph, &out->n);
  out->graph = graph;
  out->tensor = braid_calloc((size_t)out->n + 1, sizeof *out->tensor);
  if (!out->tensor) return braid_fail(BRAID_ENOMEM, "no memory for %d outputs", out->n);
  for (int i = 0; i < out->n; i++) {
    const struct braid_node *node = braid_graph_node(graph, id[i]);
    struct braid_shape shape = node->shape;
    if (frames > 1 && shape.rank == 0) shape = braid_shape_of(1, (int[]){1});
    if (frames > 1) shape.dim[0] *= frames;
    size_t bytes;
    BRAID_TRY(braid_shape_bytes(&shape, node->dtype, &bytes));
    out->tensor[i] = (struct braid_tensor){braid_alloc_aligned(bytes ? bytes : 1), node->dtype, shape};
    if (!out->tensor[i].data)
      return braid_fail(BRAID_ENOMEM, "no memory for output '%s' of %d frames (%zu bytes)", node->name, frames, bytes);
  }
  return BRAID_OK;
}

static enum braid_status make(const struct braid_graph *graph, int frames, struct outputs *out) {
  struct outputs made = {0};
  enum braid_status status = allocate(graph, frames, &made);
  if (status != BRAID_OK)
    outputs_free(&made);
  else
    *out = made;
  return status;
}

enum braid_status outputs_create(const struct braid_graph *graph, struct outputs *out) {
  return make(graph, 1, out);
}

void outputs_free(struct outputs *outputs) {
  for (int i = 0; outputs->tensor && i < outputs->n; i++) braid_free(outputs->tensor[i].data);
  braid_free(outputs->tensor);
  *outputs = (struct outputs){0};
}

enum braid_status stack_create(const struct braid_graph *graph, int frames, struct stack *out) {
  out->frames = frames;
  return make(graph, frames, &out->all);
}

void stack_put(struct stack *stack, int frame, const struct braid_tensor *outputs) {
  const int *id = braid_graph_outputs(stack->all.graph, &stack->all.n);
  for (int i = 0; i < stack->all.n; i++) {
    size_t bytes = braid_graph_node(stack->all.graph, id[i])->bytes;
    memcpy((char *)stack->all.tensor[i].data + (size_t)frame * bytes, outputs[i].data, bytes);
  }
}

void stack_free(struct stack *stack) {
  outputs_free(&stack->all);
}

/* ------------------------------------------------------------------------------------------------ paths */

static size_t append(char *buf, size_t size, size_t at, const char *text, bool clean) {
  for (; *text && at + 1 < size; text++) buf[at++] = clean && *text == '/' ? '_' : *text;
  buf[at] = '\0';
  return at;
}

enum braid_status outputs_path(const char *pattern, const struct braid_graph *graph, int i, char *buf, size_t size) {
  int n;
  const int *id = braid_graph_outputs(graph, &n);
  if (n > 1 && !strstr(pattern, "{i}") && !strstr(pattern, "{name}"))
    return braid_fail(BRAID_EINVAL, "--output %s: the model has %d outputs, put {i} or {name} into the path", pattern,
                      n);
  char number[16];
  snprintf(number, sizeof number, "%d", i);
  size_t at = 0;
  buf[0] = '\0';
  while (*pattern) {
    bool is_i = strncmp(pattern, "{i}", 3) == 0, is_name = strncmp(pattern, "{name}", 6) == 0;
    char one[2] = {*pattern, '\0'};
    at = append(buf, size, at, is_i ? number : is_name ? braid_graph_node(graph, id[i])->name : one, is_name);
    pattern += is_i ? 3 : is_name ? 6 : 1;
  }
  return at + 1 < size ? BRAID_OK : braid_fail(BRAID_EINVAL, "--output: the path is too long");
}

enum braid_status outputs_write(const struct outputs *outputs, const char *pattern) {
  for (int i = 0; i < outputs->n; i++) {
    char path[1024];
    BRAID_TRY(outputs_path(pattern, outputs->graph, i, path, sizeof path));
    BRAID_TRY(io_npy_write(path, &outputs->tensor[i]));
  }
  return BRAID_OK;
}
