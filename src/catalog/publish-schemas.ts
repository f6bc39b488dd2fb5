// The REST shapes of publishing: what is answered to a document, and to a dry run of it.
import Type from 'typebox'
import type { PublishAnswer } from './publish.ts'

const closed = { additionalProperties: false } as const
const strings = Type.Array(Type.String())
const scopes = strings

const route = {
  method: Type.String(),
  path: Type.String(),
  id: Type.String({ description: 'The operationId.' }),
  access: Type.String(),
  scopes,
  hidden: Type.Optional(Type.Boolean()),
}
const Route = Type.Object(route, closed)
const Changed = Type.Object(
  {
    method: Type.String(),
    path: Type.String(),
    id: Type.String(),
    fields: Type.Array(Type.String(), { description: 'What of the catalog’s entry differs.' }),
    was: Route,
    now: Route,
  },
  closed,
)
export const HeldSchema = Type.Object(
  { scope: Type.String(), liveTokens: Type.Integer({ description: 'How many tokens hold it.' }) },
  closed,
)
export const BrokenStepSchema = Type.Object(
  { service: Type.String(), workflow: Type.String(), step: Type.String(), endpoint: Type.String() },
  closed,
)
const Diff = Type.Object(
  {
    added: Type.Array(Route),
    removed: Type.Array(Route),
    changed: Type.Array(Changed),
    undeclaredScopes: Type.Array(Type.Object({ scope: Type.String(), routes: strings }, closed)),
    withoutSecurity: Type.Array(Type.Object({ method: Type.String(), path: Type.String() }, closed)),
    brokenWorkflows: Type.Array(BrokenStepSchema, {
      description: 'Steps that name an endpoint which nobody shows; the catalog leaves such workflows out.',
    }),
    scopesStillHeld: Type.Array(HeldSchema, {
      description: 'Scopes that no route needs any more, though tokens hold them.',
    }),
  },
  closed,
)

export const PublishedSchema = Type.Unsafe<PublishAnswer>(
  Type.Object(
    {
      changed: Type.Boolean({ description: 'false: this very document was published already.' }),
      digest: Type.String({ description: 'sha256:…, of the document as compact JSON; the ETag.' }),
      publishedAt: Type.Optional(Type.String({ format: 'date-time' })),
      endpoints: Type.Integer({ description: 'How many.' }),
      dryRun: Type.Optional(Type.Boolean()),
      diff: Type.Union([Diff, Type.Null()]),
      problems: Type.Optional(
        Type.Array(
          Type.Object(
            { code: Type.String(), pointer: Type.Optional(Type.String()), detail: Type.String() },
            closed,
          ),
          { description: 'Only of a dry run: what publishing would be refused for.' },
        ),
      ),
    },
    { $id: 'PublishedDocument', ...closed },
  ),
)
