// What is wrong with a file, all of it at once, before anything is done: by the schema; then by names.ts.
import type { Client } from '@latchkey/sdk/client'
import type { ErrorObject } from 'ajv'
import { pointerOf, wording } from '../../http/wording.ts'
import type { Catalog } from './catalog.ts'
import { wrongNames } from './names.ts'
import type { Finding, Source } from './read.ts'
import { fileSchema, type Wanted } from './wanted.ts'

export type Wrong = { readonly pointer: string; readonly detail: string }
export type Checked = { readonly wanted: Wanted } | { readonly findings: readonly Finding[] }

export async function checked(source: Source, client: Client, catalog: Catalog): Promise<Checked> {
  const bySchema = await againstSchema(source.value, await fileSchema(client))
  const wrong = bySchema.length > 0 ? bySchema : wrongNames(source.value as Wanted, catalog)
  if (wrong.length === 0) return { wanted: source.value as Wanted }
  const findings = wrong.map((one) => ({ line: source.lineOf(one.pointer), ...one }))
  return { findings: findings.sort((a, b) => a.line - b.line) }
}

async function againstSchema(value: unknown, schema: object): Promise<Wrong[]> {
  const [{ Ajv }, { default: formats }] = await Promise.all([import('ajv'), import('ajv-formats')])
  const ajv = new Ajv({ allErrors: true, verbose: true, strict: false })
  formats.default(ajv, ['date-time', 'uri'])
  ajv.addFormat('text', true)
  const isGood = ajv.compile(schema)
  if (isGood(value)) return []
  const byPlace = new Map<string, ErrorObject[]>()
  for (const error of isGood.errors ?? [])
    byPlace.set(pointerOf(error), [...(byPlace.get(pointerOf(error)) ?? []), error])
  return [...byPlace].map(([pointer, errors]) => ({ pointer, detail: worded(errors) }))
}

/** Of a choice (anyOf) each part says why it is not that: "Must be string, or null." */
function worded(errors: readonly ErrorObject[]): string {
  const [first, ...others] = new Set(errors.filter(({ keyword }) => keyword !== 'anyOf').map(wording))
  return others.reduce((text, other) => `${text.slice(0, -1)}, or ${other.replace(/^Must be /, '')}`, first!)
}
