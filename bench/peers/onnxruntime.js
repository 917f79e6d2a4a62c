// SPDX-License-Identifier: Apache-2.0
// ONNX Runtime as a contestant of `braid bench model`; the protocol is told in README.md beside this file.
//   node onnxruntime.js --version [DIR]    node onnxruntime.js MANIFEST.json [DIR]
// DIR: where to look for the module first (a folder with node_modules in it), before NODE_PATH and the working
// directory.
const fs = require('fs');
const readline = require('readline');

function load_module() {
  const places = [process.argv[3], process.cwd()].filter(Boolean);
  const file = require.resolve('onnxruntime-node', {paths: places});
  const folder = file.slice(0, file.lastIndexOf('onnxruntime-node') + 'onnxruntime-node'.length);
  return {ort: require(file), version: require(`${folder}/package.json`).version};
}

const arrays = {
  float32: Float32Array, float64: Float64Array, float16: Uint16Array, uint8: Uint8Array, int8: Int8Array,
  uint16: Uint16Array, int16: Int16Array, uint32: Uint32Array, int32: Int32Array, uint64: BigUint64Array,
  int64: BigInt64Array, bool: Uint8Array,
};
const descr = {
  float32: '<f4', float64: '<f8', float16: '<f2', uint8: '|u1', int8: '|i1', uint16: '<u2', int16: '<i2',
  uint32: '<u4', int32: '<i4', uint64: '<u8', int64: '<i8', bool: '|b1',
};

// Type and sizes are in the manifest: of the .npy file (version 1) only the length of the header is read.
function read_npy(file, type, dims) {
  const bytes = fs.readFileSync(file), begin = 10 + bytes.readUInt16LE(8);
  const copy = Uint8Array.from(bytes.subarray(begin)); // an array of its own, so aligned for every type
  const n = dims.reduce((a, b) => a * b, 1);
  return new arrays[type](copy.buffer, 0, n);
}

function write_npy(file, tensor) {
  const shape = tensor.dims.length === 1 ? `${tensor.dims[0]},` : tensor.dims.join(', ');
  let head = `{'descr': '${descr[tensor.type]}', 'fortran_order': False, 'shape': (${shape}), }`;
  head = head.padEnd(Math.ceil((head.length + 11) / 64) * 64 - 11) + '\n';
  const prefix = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, head.length & 255, head.length >> 8]);
  const data = Buffer.from(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength);
  fs.writeFileSync(file, Buffer.concat([prefix, Buffer.from(head, 'latin1'), data]));
}

async function open(ort, manifest) {
  const session = await ort.InferenceSession.create(manifest.model, {
    executionProviders: ['cpu'], intraOpNumThreads: manifest.threads, interOpNumThreads: 1,
    executionMode: 'sequential', graphOptimizationLevel: 'all', logSeverityLevel: 3,
  });
  const feeds = {};
  for (const t of manifest.inputs) feeds[t.name] = new ort.Tensor(t.dtype, read_npy(t.file, t.dtype, t.dims), t.dims);
  return {session, feeds};
}

async function main() {
  const {ort, version} = load_module();
  if (process.argv[2] === '--version') return console.log(`version ${version}`);
  const manifest = JSON.parse(fs.readFileSync(process.argv[2]));
  const {session, feeds} = await open(ort, manifest);
  let results;
  async function run() {
    const begin = process.hrtime.bigint();
    results = await session.run(feeds);
    return process.hrtime.bigint() - begin;
  }
  console.log(`first ${await run()}`);
  for await (const line of readline.createInterface({input: process.stdin})) {
    if (line === 'run') {
      console.log(`ns ${await run()}`);
    } else if (line === 'write') {
      for (const t of manifest.outputs) write_npy(t.file, results[t.name]);
      console.log('written');
    }
  }
}

main().catch((e) => { console.error(String(e)); process.exit(1); });
