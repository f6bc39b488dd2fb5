// One operation of a published document → the endpoint that it is, or what is wrong with it.
import type { problems } from '../../http/problems.ts'
import type { Endpoint, RequestHints, ResponseHint, ServiceError, Stability } from '../endpoint.ts'
import { exampleOf, fieldHint, fieldHints, type Resolve, type Schema, shown } from '../hints.ts'
import { type Decided, decide } from './access.ts'
import { type Extension, extensionOf } from './extension.ts'
import { type Finding, pointerTo } from './finding.ts'
import { follow } from './references.ts'
import { type Schemes, securityOf } from './security.ts'
import { isObject, type Json, type JsonObject, own } from './tree.ts'

/** What all operations of a document share. */
export type Surroundings = {
  readonly service: string
  readonly document: JsonObject
  readonly schemes: Schemes
  readonly resolve: Resolve
}

export type OperationPlace = {
  /** Upper case. */
  readonly method: string
  readonly path: string
  readonly operation: JsonObject
  /** Parameters of the path item. */
  readonly shared: Json | undefined
}

export type ReadOperation = {
  readonly endpoint: Endpoint | null
  readonly errors: readonly ServiceError[]
  readonly findings: readonly Finding[]
  readonly isWithoutSecurity: boolean
}

const safe = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE'])
const longestText = 2_000

export function readOperation(place: OperationPlace, around: Surroundings): ReadOperation {
  const { method, path, operation } = place
  const pointer = () => pointerTo('paths', path, method.toLowerCase())
  const { said, findings } = extensionOf(own(operation, 'x-latchkey'), pointer)
  const fail = (detail: string, isWithoutSecurity = false): ReadOperation => {
    const finding = { pointer: pointer(), detail: `${method} ${path}: ${detail}` }
    return { endpoint: null, errors: [], findings: [...findings, finding], isWithoutSecurity }
  }
  if (own(operation, 'servers') !== undefined)
    return fail('servers of a single operation cannot be enforced; declare them for the whole document.')
  const security = securityOf(own(operation, 'security') ?? own(around.document, 'security'), around.schemes)
  if (security.kind === 'missing')
    return fail(
      'It has no security. Say which token and scopes it needs, or "security": [] if it is public.',
      true,
    )
  if (security.kind === 'fault') return fail(security.detail)
  const id = idOf(place)
  if (id === null)
    return fail(
      'operationId must be of A-Z a-z 0-9 _ - (no dots: workflows could not refer to it), up to 128.',
    )
  const decided = decide(security, said)
  if ('fault' in decided) return fail(decided.fault)
  const errors = (said.errors ?? []).filter((one): one is ServiceError => typeof one !== 'string')
  const endpoint = endpointOf(id, place, decided, said, around)
  return { endpoint, errors: errors.map(withRetry), findings, isWithoutSecurity: false }
}

const withRetry = (error: ServiceError): ServiceError => ({ ...error, retry: error.retry ?? 'never' })

/** null: given, but not usable. */
function idOf({ method, path, operation }: OperationPlace): string | null {
  const given = own(operation, 'operationId')
  if (given !== undefined) return /^[A-Za-z0-9_-]{1,128}$/.test(String(given)) ? String(given) : null
  const words = path
    .replace(/[{}]/g, '')
    .split(/[^A-Za-z0-9]+/)
    .filter(Boolean)
  return [method.toLowerCase(), ...words].join('_').slice(0, 128)
}

function endpointOf(
  id: string,
  place: OperationPlace,
  { access, scopes, pat, session }: Exclude<Decided, { fault: string }>,
  said: Extension,
  around: Surroundings,
): Endpoint {
  const { method, path, operation } = place
  const text = (name: string) => String(own(operation, name) ?? '').slice(0, longestText)
  const request = requestOf(place, around)
  const response = responseOf(operation, around)
  return {
    id,
    service: around.service,
    method,
    path,
    summary: text('summary'),
    ...(text('description') && { description: text('description') }),
    access,
    auth: { pat, session, clientCredentials: false, scopes },
    effects: effectsOf(place, said, around),
    ...(request && { request }),
    ...(response && { response }),
    errors: errorsOf(operation, pat, scopes, said),
    ...(said.jobs && said.jobs.length > 0 && { jobs: said.jobs }),
    stability: stabilityOf(operation, said),
    ...(said.note && { note: said.note }),
    ...(said.hidden && { hidden: true }),
  }
}

function stabilityOf(operation: JsonObject, { stability }: Extension): Stability {
  return stability ?? (own(operation, 'deprecated') === true ? 'deprecated' : 'stable')
}

function effectsOf(
  place: OperationPlace,
  { effects = {} }: Extension,
  around: Surroundings,
): Endpoint['effects'] {
  const readOnly = effects.readOnly ?? safe.has(place.method)
  const destructive = effects.destructive ?? (place.method === 'DELETE' ? true : undefined)
  const hasKey = parametersOf(place, around).some(({ name }) => /^idempotency-key$/i.test(name))
  const idempotency = effects.idempotency ?? (hasKey ? 'Idempotency-Key' : undefined)
  return {
    readOnly,
    ...(destructive !== undefined && { destructive }),
    ...(idempotency !== undefined && { idempotency }),
  }
}

type Parameter = { name: string; in: string; required?: boolean; description?: string; schema?: Schema }

/** The operation's own come before the path item's. */
function parametersOf({ operation, shared }: OperationPlace, { document }: Surroundings): Parameter[] {
  const all = [own(operation, 'parameters'), shared].flatMap((list) => (Array.isArray(list) ? list : []))
  const found = all.map((one) => follow(document, one)).filter(isObject) as unknown as Parameter[]
  return [...new Map([...found].reverse().map((one) => [`${one.in} ${one.name}`, one])).values()].reverse()
}

function requestOf(place: OperationPlace, around: Surroundings): RequestHints | null {
  const parameters = parametersOf(place, around)
  const hintsIn = (where: string) => {
    const some = parameters
      .filter((one) => one.in === where && !/^authorization$/i.test(one.name))
      .slice(0, 60)
    const hints = some.map(({ name, required, schema, description }) => [
      name,
      fieldHint(schema ?? {}, required === true && where !== 'path', around.resolve, description),
    ])
    return hints.length > 0 ? Object.fromEntries(hints) : null
  }
  const [path, query, header] = ['path', 'query', 'header'].map(hintsIn)
  const body = bodyOf(place.operation, around)
  if (!path && !query && !header && !body) return null
  return { ...(path && { path }), ...(query && { query }), ...(header && { header }), ...body }
}

function bodyOf(operation: JsonObject, around: Surroundings): Partial<RequestHints> | null {
  const content = contentOf(follow(around.document, own(operation, 'requestBody')))
  if (!content) return null
  const example = exampleIn(content.media, around)
  const hint = fieldHints(content.schema, around.resolve)
  return {
    contentType: content.type,
    ...(Object.keys(hint).length > 0 && { hint }),
    ...(example !== undefined && { example }),
  }
}

function responseOf(operation: JsonObject, around: Surroundings): ResponseHint | null {
  const responses = own(operation, 'responses')
  const status = isObject(responses)
    ? Object.keys(responses).find((code) => /^[23]\d\d$/.test(code))
    : undefined
  if (status === undefined) return null
  const content = contentOf(follow(around.document, own(responses, status)))
  if (!content) return { status: Number(status) }
  const example = exampleIn(content.media, around)
  return { status: Number(status), contentType: content.type, ...(example !== undefined && { example }) }
}

type Content = { type: string; media: JsonObject; schema: Schema }

/** JSON where there is a choice. */
function contentOf(holder: Json | undefined): Content | null {
  const content = own(holder, 'content')
  const types = isObject(content) ? Object.keys(content) : []
  const type = types.find((one) => /^application\/([\w.-]+\+)?json\b/.test(one)) ?? types[0]
  const media = type === undefined ? undefined : own(content, type)
  if (type === undefined || !isObject(media)) return null
  return { type: type.slice(0, 100), media, schema: (own(media, 'schema') ?? {}) as Schema }
}

function exampleIn(media: JsonObject, { document, resolve }: Surroundings): unknown {
  const given = own(media, 'example')
  if (given !== undefined) return shown(given)
  const named = own(media, 'examples')
  const first = isObject(named) ? follow(document, Object.values(named)[0]) : undefined
  const value = own(first, 'value')
  if (value !== undefined) return shown(value)
  return exampleOf((own(media, 'schema') ?? {}) as Schema, resolve)
}

/** Of a documented status, the code that Latchkey has one meaning for. */
const codeOfStatus: Record<string, keyof typeof problems> = {
  400: 'validation-failed',
  404: 'not-found',
  409: 'conflict',
  412: 'precondition-failed',
  413: 'too-large',
  415: 'unsupported-media-type',
  503: 'unavailable',
}

function errorsOf(
  operation: JsonObject,
  pat: boolean,
  scopes: readonly string[],
  { errors = [] }: Extension,
): string[] {
  const ofGuard = pat
    ? ['invalid-token', ...(scopes.length > 0 ? ['insufficient-scope'] : []), 'ip-not-allowed']
    : []
  const said = errors.map((one) => (typeof one === 'string' ? one : one.code))
  const responses = own(operation, 'responses')
  // What the service says itself is better than what its statuses suggest.
  const suggested = said.length > 0 || !isObject(responses) ? [] : Object.keys(responses)
  const ofStatus = suggested.flatMap((status) => codeOfStatus[status] ?? [])
  return [...new Set([...ofGuard, ...said, ...ofStatus])]
}
