// What the MCP tools take, in the SDK's own language of schemas, which is loaded with it. Pure.
import { filterMethods } from '../filter.ts'

export type ToolSchemas = ReturnType<typeof schemasOf>

export function schemasOf(z: typeof import('zod').z) {
  const text = (most: number, description: string) => z.string().min(1).max(most).describe(description)
  const q = text(200, 'Words; all of them must occur.').optional()
  const service = text(64, 'A service id.').optional()
  return {
    search: z.strictObject({
      q,
      job: text(200, 'A job, in the words of list_jobs.').optional(),
      scope: text(100, 'Endpoints that need this scope.').optional(),
      method: z.enum(filterMethods).optional(),
      service,
    }),
    describe: z.strictObject({ id: text(128, 'As search_endpoints names it.'), service }),
    list: z.strictObject({ q }),
    nothing: z.strictObject({}),
  }
}
