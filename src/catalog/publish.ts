// PUT of a service's document, and its dry run: the document is read aside, judged in the transaction that holds the
// catalog still, and takes the place of the former one, or nothing happens.
import type { FastifyRequest } from 'fastify'
import { record } from '../audit/record.ts'
import type { Db, Trx } from '../db/tables.ts'
import { actorOf } from '../guard/principal.ts'
import type { Write } from '../guard/write.ts'
import { Problem } from '../http/problem.ts'
import { lockService, serviceById } from '../identity/queries.ts'
import { known } from '../identity/spokesman.ts'
import { type Assessment, assess, type PublishProblem, refuse } from './assess.ts'
import type { Endpoint } from './endpoint.ts'
import type { Live } from './live.ts'
import { type DocumentRow, documentOf, type Held, heldScopes, lockCatalog, putDocument } from './queries.ts'
import { Unreadable } from './reading/finding.ts'
import type { Syntax } from './reading/parse.ts'
import type { ReadResult } from './reading/read.ts'
import type { Reader } from './reading/reader.ts'

export type PublishDependencies = {
  readonly db: Db
  readonly write: Write
  readonly live: Live
  readonly reader: Reader
  readonly ownEndpoints: () => readonly Endpoint[]
  readonly now: () => number
}

export type Submission = {
  readonly service: string
  readonly bytes: Uint8Array
  readonly syntax: Syntax
  readonly ifMatch: string | undefined
}

export type Diff = Assessment['diff'] & { readonly scopesStillHeld: readonly Held[] }

export type PublishAnswer = {
  readonly changed: boolean
  readonly digest: string
  readonly publishedAt?: string
  readonly endpoints: number
  readonly dryRun?: boolean
  readonly diff: Diff | null
  readonly problems?: readonly PublishProblem[]
}

export const etagOf = (digest: string): string => `"${digest}"`

export async function dryRun(
  submission: Submission,
  dependencies: PublishDependencies,
): Promise<PublishAnswer> {
  const { db, live, ownEndpoints, now } = dependencies
  const { service, ifMatch } = submission
  const present = await documentOf(db, known(await serviceById(db, service)).id)
  refuseOtherVersion(present, ifMatch)
  const { digest, reading } = await readAside(submission, dependencies)
  const { diff, scopesLeft, problems } = assess(service, reading, await live.current(), ownEndpoints())
  const scopesStillHeld = await heldScopes(db, scopesLeft, new Date(now()))
  const changed = present?.digest !== digest
  return {
    changed,
    dryRun: true,
    digest,
    endpoints: reading.endpoints.length,
    diff: { ...diff, scopesStillHeld },
    problems,
  }
}

export async function publish(
  request: FastifyRequest,
  submission: Submission,
  dependencies: PublishDependencies,
): Promise<PublishAnswer> {
  known(await serviceById(dependencies.db, submission.service))
  const result = await readAside(submission, dependencies)
  return dependencies.write(request, async (trx, invalidate) => {
    await lockCatalog(trx)
    known(await lockService(trx, submission.service))
    const present = await documentOf(trx, submission.service)
    refuseOtherVersion(present, submission.ifMatch)
    // Also when it was so before: whoever published it may still wait for a replica that has not heard of it.
    invalidate({ kind: 'catalog' })
    if (present?.digest === result.digest) return unchanged(present, result)
    return replace(trx, request, submission, result, dependencies)
  })
}

async function replace(
  trx: Trx,
  request: FastifyRequest,
  { service }: Submission,
  { digest, document, reading }: ReadResult,
  { live, ownEndpoints, now }: PublishDependencies,
) {
  const at = new Date(now())
  const { diff, scopesLeft, problems } = assess(service, reading, await live.within(trx), ownEndpoints())
  refuse(problems)
  await putDocument(trx, { service_id: service, digest, document, published_at: at })
  const [added, removed, changed] = [diff.added, diff.removed, diff.changed].map((list) => list.length)
  const detail = {
    digest,
    version: storable(reading.version),
    added: added!,
    removed: removed!,
    changed: changed!,
  }
  await record(trx, { action: 'service.openapi_published', serviceId: service, detail }, actorOf(request), at)
  const scopesStillHeld = await heldScopes(trx, scopesLeft, at)
  const endpoints = reading.endpoints.length
  return {
    changed: true,
    digest,
    publishedAt: at.toISOString(),
    endpoints,
    diff: { ...diff, scopesStillHeld },
  }
}

/** The audit log cannot hold every text that JSON can. */
const storable = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?')

function unchanged({ digest, published_at }: DocumentRow, { reading }: ReadResult) {
  const endpoints = reading.endpoints.length
  return { changed: false, digest, publishedAt: published_at.toISOString(), endpoints, diff: null }
}

async function readAside({ service, bytes, syntax }: Submission, { reader }: PublishDependencies) {
  try {
    return await reader.read(service, bytes, syntax)
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error
    const errors = error.findings.length > 0 ? { errors: [...error.findings] } : {}
    throw new Problem('validation-failed', error.message, errors)
  }
}

/** RFC 9110 §13.1.1. */
function refuseOtherVersion(present: DocumentRow | undefined, ifMatch: string | undefined): void {
  if (ifMatch === undefined) return
  const tags = ifMatch.split(',').map((tag) => tag.trim())
  if (present && (tags.includes('*') || tags.includes(etagOf(present.digest)))) return
  const now = present ? `the present one is ${etagOf(present.digest)}` : 'nothing is published yet'
  throw new Problem('precondition-failed', `If-Match names another document: ${now}.`)
}
