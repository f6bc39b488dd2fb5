// The thread that reads published documents: bytes in, what they say (or why they cannot be read) out.
import { parentPort } from 'node:worker_threads'
import { type Finding, Unreadable } from './finding.ts'
import type { Syntax } from './parse.ts'
import { type ReadResult, read } from './read.ts'

export type ReadRequest = { readonly service: string; readonly bytes: Uint8Array; readonly syntax: Syntax }
export type ReadAnswer =
  /** Said once, when everything is loaded: from then on it counts how long a document takes. */
  | { readonly ready: true }
  | { readonly result: ReadResult }
  | { readonly unreadable: string; readonly findings: readonly Finding[] }
  | { readonly error: string }

parentPort?.on('message', ({ service, bytes, syntax }: ReadRequest) =>
  parentPort?.postMessage(answer(service, bytes, syntax)),
)

function answer(service: string, bytes: Uint8Array, syntax: Syntax): ReadAnswer {
  try {
    return { result: read(service, bytes, syntax) }
  } catch (error) {
    if (error instanceof Unreadable) return { unreadable: error.message, findings: error.findings }
    return { error: (error as Error).stack ?? String(error) }
  }
}

const loaded: ReadAnswer = { ready: true }
parentPort?.postMessage(loaded)
