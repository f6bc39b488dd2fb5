// What a file may say. Its fields are those of the API: what this very Latchkey takes is in its OpenAPI document, and by
// that the file is checked.
import type { Client } from '@latchkey/sdk/client'

export type Fields = Readonly<Record<string, unknown>>

export type Scope = Fields & { readonly name: string; readonly implies?: readonly string[] }
/** A preset, job or workflow. */
export type Guide = Fields & { readonly scopes: readonly string[]; readonly workflow?: string }

/** What a service declares beside its own fields: lists, of which one field is the key. */
export type Declared = {
  readonly groups: readonly Fields[]
  readonly scopes: readonly Scope[]
  readonly presets: readonly Guide[]
  readonly jobs: readonly Guide[]
  readonly workflows: readonly Guide[]
}
export const keys = { groups: 'id', scopes: 'name', presets: 'id', jobs: 'job', workflows: 'id' } as const
export const guides = ['presets', 'jobs', 'workflows'] as const
export const lists = Object.keys(keys) as (keyof Declared)[]

export type WantedService = Fields & Partial<Declared> & { readonly id: string; readonly name: string }
export type WantedPolicy = Fields & {
  readonly name: string
  readonly conditions: Fields
  readonly scopes: readonly string[]
  readonly services?: readonly string[]
}
export type WantedToken = Fields & {
  readonly name: string
  readonly subject: string
  readonly scopes?: readonly string[]
  readonly audience?: readonly string[]
}

/** A kind that is left out is not looked at. */
export type Wanted = {
  readonly services?: readonly WantedService[]
  readonly trustPolicies?: readonly WantedPolicy[]
  readonly tokens?: readonly WantedToken[]
}

type Schema = {
  readonly type: 'object'
  readonly properties: Readonly<Record<string, object>>
  readonly required: readonly string[]
  readonly additionalProperties: false
}
type Operation = {
  readonly requestBody: { readonly content: { readonly 'application/json': { readonly schema: Schema } } }
}
type OpenApi = { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> }

/** Of the whole file, as JSON Schema. */
export async function fileSchema(client: Client): Promise<object> {
  const { body } = await client.call<OpenApi>('GET', '/openapi.json')
  const taken = (method: string, path: string) =>
    body.paths[path]![method]!.requestBody.content['application/json'].schema
  const { clientSecret: _never, ...service } = taken('post', '/api/v1/services').properties
  const declared = taken('put', '/api/v1/services/{id}/scopes').properties
  // All of them are service tokens.
  const { type: _always, ...token } = taken('post', '/api/v1/tokens').properties
  return closed({
    services: listOf(closed({ ...service, ...declared }, ['id', 'name'])),
    trustPolicies: listOf(taken('post', '/api/v1/trust-policies')),
    tokens: listOf(closed(token, ['name', 'subject'])),
  })
}

const listOf = (items: object) => ({ type: 'array', items })
const closed = (properties: Schema['properties'], required: readonly string[] = []): Schema => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
})
