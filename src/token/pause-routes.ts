// POST /api/v1/tokens/{id}/disable and …/enable: a pause that can be undone.
import type { FastifyReply, FastifyRequest } from 'fastify'
import { actorOf, tokenPrincipal } from '../guard/principal.ts'
import type { Write } from '../guard/write.ts'
import { ref } from '../http/ref.ts'
import type { App } from '../http/server.ts'
import { acknowledged, preferred } from './acknowledge.ts'
import { viewOf } from './model.ts'
import { disableToken, enableToken } from './pause.ts'
import { tokenById } from './queries.ts'
import { Id, PausedSchema } from './schemas.ts'
import { visible } from './visible.ts'

export type PauseDependencies = {
  readonly write: Write
  readonly now: () => number
  readonly effectiveWithinMs: number
}

const verbs = {
  disable: {
    change: disableToken,
    operationId: 'disableToken',
    summary: 'Pause a token',
    description:
      'When this is answered, no replica accepts the token, until it is enabled. Disabling again is no error.',
    destructive: true,
  },
  enable: {
    change: enableToken,
    operationId: 'enableToken',
    summary: 'Let a paused token go on',
    description:
      'What an admin disabled for somebody else, only an admin enables. Enabling what is not disabled is no error.',
    destructive: false,
  },
} as const

export function pauseRoutes(app: App, dependencies: PauseDependencies): void {
  app.addSchema(PausedSchema)
  for (const [verb, { change, destructive, ...about }] of Object.entries(verbs)) {
    app.route({
      method: 'POST',
      url: `/api/v1/tokens/:id/${verb}`,
      config: {
        policy: { access: 'token', scopes: ['tokens:write'] },
        catalog: {
          effects: { readOnly: false, destructive },
          errors: ['not-found', 'conflict', ...(destructive ? [] : ['policy-violation' as const])],
        },
      },
      schema: {
        ...about,
        tags: ['Tokens'],
        params: Id,
        response: { 200: ref(PausedSchema), 202: ref(PausedSchema) },
      },
      handler: (request, reply) => pause(request, reply, request.params.id, change, dependencies) as never,
    })
  }
}

async function pause(
  request: FastifyRequest,
  reply: FastifyReply,
  id: string,
  change: typeof disableToken,
  { write, now, effectiveWithinMs }: PauseDependencies,
) {
  const wish = preferred(request)
  const row = await write(
    request,
    async (trx, invalidate, target) => {
      const caller = tokenPrincipal(request)
      const before = visible(target, caller)
      await change(trx, before, caller, actorOf(request), new Date(now()))
      // Also when it was so before: whoever is answered may rely on it everywhere.
      invalidate({ kind: 'token', id })
      return (await tokenById(trx, id))!
    },
    { target: id, acknowledge: wish.acknowledge },
  )
  const at = new Date(now())
  return { ...viewOf(row, at), ...acknowledged(reply, wish, at, effectiveWithinMs) }
}
