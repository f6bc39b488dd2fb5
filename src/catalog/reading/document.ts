// An OpenAPI document → the endpoints of a service, and everything that is wrong with it. Pure; it decides nothing
// about other services or declared scopes.
import { setImmediate } from 'node:timers/promises'
import type { Endpoint, ServiceError } from '../endpoint.ts'
import type { Schema } from '../hints.ts'
import { faultOf, shapeOf } from '../template.ts'
import { type Finding, pointerTo } from './finding.ts'
import { type ReadOperation, readOperation } from './operation.ts'
import { follow, lookUp } from './references.ts'
import { schemesOf } from './security.ts'
import { serversOf } from './servers.ts'
import { isObject, type JsonObject, own } from './tree.ts'

export type RouteName = { readonly method: string; readonly path: string }

export type Reading = {
  readonly title: string
  readonly version: string
  readonly endpoints: readonly Endpoint[]
  readonly errors: readonly ServiceError[]
  /** URLs, with variables filled in. */
  readonly servers: readonly string[]
  readonly findings: readonly Finding[]
  readonly withoutSecurity: readonly RouteName[]
}

export const methods = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace'] as const
const mostOperations = 10_000

/** Reading in steps, for those who must not keep others waiting. */
type Steps = {
  readonly places: readonly Place[]
  readOne(place: Place): Read
  /** @param read all of places, in their order */
  finish(read: readonly Read[]): Reading
}

/** @param document conforms to OpenAPI 3.0 or 3.1, and its references lead somewhere */
export function readDocument(service: string, document: JsonObject): Reading {
  const { places, readOne, finish } = beginReading(service, document)
  return finish(places.map(readOne))
}

const atOnce = 100

/** The same, with pauses in which others go on. */
export async function readDocumentGently(service: string, document: JsonObject): Promise<Reading> {
  const { places, readOne, finish } = beginReading(service, document)
  const read: Read[] = []
  for (const place of places) {
    read.push(readOne(place))
    if (read.length % atOnce === 0) await setImmediate()
  }
  return finish(read)
}

function beginReading(service: string, document: JsonObject): Steps {
  const resolve = (reference: string) => lookUp(document, reference) as Schema | undefined
  const around = { service, document, schemes: schemesOf(document), resolve }
  const findings = misplacedExtensions(document)
  const { urls: servers, findings: ofServers } = serversOf(own(document, 'servers'))
  const places = operationsOf(document, findings)
  const info = own(document, 'info')
  return {
    places,
    readOne: (place) => ({ place, ...readOperation(place, around) }),
    finish: (read) => ({
      title: String(own(info, 'title') ?? '').slice(0, 200),
      version: String(own(info, 'version') ?? '').slice(0, 100),
      endpoints: read.flatMap(({ endpoint }) => endpoint ?? []),
      errors: [...new Map(read.flatMap((one) => one.errors).map((error) => [error.code, error])).values()],
      servers,
      findings: [...findings, ...ofServers, ...read.flatMap((one) => one.findings), ...unfit(read)],
      withoutSecurity: read
        .filter((one) => one.isWithoutSecurity)
        .map(({ place: { method, path } }) => ({ method, path })),
    }),
  }
}

type Place = Parameters<typeof readOperation>[0]

function operationsOf(document: JsonObject, findings: Finding[]): Place[] {
  const paths = own(document, 'paths')
  const places: Place[] = []
  for (const path of isObject(paths) ? Object.keys(paths) : []) {
    if (path.startsWith('x-')) continue
    const pointer = pointerTo('paths', path)
    const item = follow(document, own(paths, path))
    const fault = faultOf(path)
    if (fault !== null)
      findings.push({ pointer, detail: `The path ${JSON.stringify(path.slice(0, 200))} ${fault}.` })
    else if (!isObject(item)) findings.push({ pointer, detail: `${path}: its $ref goes in a circle.` })
    else if (own(item, 'servers') !== undefined)
      findings.push({
        pointer,
        detail: `${path}: servers of a single path cannot be enforced; declare them for the whole document.`,
      })
    else {
      if (own(item, 'x-latchkey') !== undefined) findings.push(misplaced(`${pointer}/x-latchkey`))
      places.push(...operationsIn(path, item))
    }
  }
  if (places.length <= mostOperations) return places
  findings.push({ pointer: '/paths', detail: `A service has at most ${mostOperations} operations.` })
  return []
}

function operationsIn(path: string, item: JsonObject): Place[] {
  return methods.flatMap((name) => {
    const operation = own(item, name)
    if (!isObject(operation)) return []
    return [{ method: name.toUpperCase(), path, operation, shared: own(item, 'parameters') }]
  })
}

const misplaced = (pointer: string): Finding => ({
  pointer,
  detail: 'x-latchkey belongs into an operation; here it would say nothing.',
})

function misplacedExtensions(document: JsonObject): Finding[] {
  return [[], ['info'], ['paths'], ['components']].flatMap((place) => {
    const at = place.reduce((value, name) => own(value, name) as JsonObject, document)
    return own(at, 'x-latchkey') === undefined ? [] : [misplaced(pointerTo(...place, 'x-latchkey'))]
  })
}

type Read = ReadOperation & { readonly place: Place }

/** What is right by itself, but not beside the others. */
function unfit(read: readonly Read[]): Finding[] {
  const ids = new Map<string, Place>()
  const paths = new Map<string, string>()
  const findings: Finding[] = []
  for (const { place, endpoint } of read) {
    const { method, path } = place
    const pointer = () => pointerTo('paths', path, method.toLowerCase())
    const key = `${method} ${shapeOf(path)}`
    const twin = paths.get(key)
    const namesake = endpoint && ids.get(endpoint.id)
    if (twin !== undefined) {
      const detail = `${method} ${path} and ${method} ${twin} are the same to a gateway. Keep one.`
      findings.push({ pointer: pointer(), detail })
    }
    if (namesake) {
      const detail = `operationId "${endpoint.id}" stands for ${namesake.method} ${namesake.path} already.`
      findings.push({ pointer: `${pointer()}/operationId`, detail })
    }
    paths.set(key, path)
    if (endpoint) ids.set(endpoint.id, place)
  }
  return findings
}
