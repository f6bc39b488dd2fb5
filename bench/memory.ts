// bytesPerCachedToken, fullGcMs: what remembering costs, by the bench of the store (store.ts), in processes of its own.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { root } from './lib/child.ts'
import { type Figure, ratioOf } from './lib/statistics.ts'

export async function memory(
  tokens: number,
  times: number,
): Promise<{ bytesPerCachedToken: Figure; fullGcMs: Figure }> {
  const found: { bytes: number; gc: number }[] = []
  for (let i = 0; i < times; i++) {
    const args = [
      '--expose-gc',
      '--import',
      import.meta.resolve('tsx'),
      `${root}bench/store.ts`,
      '--json',
      String(tokens),
    ]
    found.push(JSON.parse((await promisify(execFile)(process.execPath, args)).stdout))
  }
  const note = `${tokens.toLocaleString('en')} tokens`
  return {
    bytesPerCachedToken: ratioOf(
      found.map(({ bytes }) => bytes),
      undefined,
      note,
    ),
    fullGcMs: ratioOf(
      found.map(({ gc }) => gc),
      undefined,
      note,
    ),
  }
}
