// /api/v1/subjects: what a subject may now have. It caps its tokens at every check, whatever they were given.
import { record } from '../audit/record.ts'
import type { Db } from '../db/tables.ts'
import { actorOf } from '../guard/principal.ts'
import type { Write } from '../guard/write.ts'
import { didYouMean } from '../http/nearest.ts'
import { fieldProblem, Problem } from '../http/problem.ts'
import { ref } from '../http/ref.ts'
import type { App } from '../http/server.ts'
import { changeSubject, type SubjectRow, scopes, subjectById } from './queries.ts'
import { SubjectBody, SubjectId, SubjectSchema } from './schemas.ts'

export type SubjectDependencies = { readonly db: Db; readonly write: Write; readonly now: () => number }

const tags = ['Subjects']
const policy = { access: 'token', scopes: ['tokens:admin'] } as const

export function subjectRoutes(app: App, { db, write, now }: SubjectDependencies): void {
  app.addSchema(SubjectSchema)

  app.route({
    method: 'GET',
    url: '/api/v1/subjects/:id',
    config: { policy, catalog: { effects: { readOnly: true }, errors: ['not-found'] } },
    schema: {
      operationId: 'readSubject',
      summary: 'Show what a subject may have',
      tags,
      params: SubjectId,
      response: { 200: ref(SubjectSchema) },
    },
    handler: async (request) => {
      const row = await subjectById(db, request.params.id)
      if (!row) throw new Problem('not-found', 'No token was ever made for this subject.')
      return viewOf(row)
    },
  })

  app.route({
    method: 'PATCH',
    url: '/api/v1/subjects/:id',
    config: {
      policy,
      catalog: {
        effects: { readOnly: false, destructive: true },
        errors: ['validation-failed', 'unknown-field', 'unknown-scope'],
      },
    },
    schema: {
      operationId: 'changeSubject',
      summary: 'Disable or enable a subject, or cap what its tokens may do',
      description:
        'When this is answered, it is effective on every replica. A subject that is not known yet becomes so.',
      tags,
      params: SubjectId,
      body: SubjectBody,
      response: { 200: ref(SubjectSchema) },
    },
    handler: async (request) => {
      const { id } = request.params
      const { disabled, scopeCap } = request.body
      const at = new Date(now())
      const row = await write(request, async (trx, invalidate) => {
        if (scopeCap) await refuseUndeclared(trx, scopeCap)
        const after = await changeSubject(trx, id, at, (before) => ({
          ...(disabled !== undefined && { disabled_at: disabled ? (before.disabled_at ?? at) : null }),
          ...(scopeCap !== undefined && { scope_cap: scopeCap }),
        }))
        const detail = { disabled: after.disabled_at !== null, scopeCap: after.scope_cap }
        await record(trx, { action: 'subject.updated', subject: id, detail }, actorOf(request), at)
        invalidate({ kind: 'subject', id })
        return after
      })
      return viewOf(row)
    },
  })
}

async function refuseUndeclared(db: Db, cap: readonly string[]): Promise<void> {
  const names = new Set((await scopes(db)).map((row) => row.name))
  const at = cap.findIndex((name) => !names.has(name))
  if (at < 0) return
  const detail = `No service declares the scope "${cap[at]}".${didYouMean(cap[at]!, names)}`
  throw fieldProblem(`/scopeCap/${at}`, detail, 'unknown-scope')
}

function viewOf(row: SubjectRow) {
  return {
    id: row.id,
    disabled: row.disabled_at !== null,
    disabledAt: row.disabled_at?.toISOString() ?? null,
    scopeCap: row.scope_cap,
  }
}
