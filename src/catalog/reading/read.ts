// A published document, from bytes to what it says: the whole way, in order. Run in a thread of its own by reader.ts.
import { createHash } from 'node:crypto'
import { conforming } from './conformance.ts'
import { type Reading, readDocument } from './document.ts'
import { parse, type Syntax } from './parse.ts'
import { checkReferences } from './references.ts'
import { treeOf } from './tree.ts'

export type ReadResult = {
  /** Normalised: compact JSON, members in the order they came in. */
  readonly document: string
  /** `sha256:…` of it. */
  readonly digest: string
  readonly reading: Reading
}

/** @throws Unreadable */
export function read(service: string, bytes: Uint8Array, syntax: Syntax): ReadResult {
  const tree = treeOf(parse(bytes, syntax))
  checkReferences(tree)
  const document = conforming(tree)
  const text = JSON.stringify(document)
  const digest = `sha256:${createHash('sha256').update(text).digest('hex')}`
  return { document: text, digest, reading: readDocument(service, document) }
}
