// `latchkey scope for <METHOD PATH>...`: the smallest set of scopes for what a script calls, one a line.
import { Command } from 'commander'
import { usage } from '../failure.ts'
import { remote } from '../remote.ts'

type Options = { readonly job?: readonly string[]; readonly service?: string }

type Needed = {
  readonly scopes: readonly string[]
  readonly endpoints: readonly { readonly method: string; readonly path: string; readonly access: string }[]
  readonly jobs: readonly object[]
}

const collect = (value: string, before: readonly string[] = []): string[] => [...before, value]
const example = 'latchkey scope for GET /v1/posts POST /v1/posts'

export const forCommand = () =>
  remote<Options>(
    new Command('for')
      .description('Print the smallest set of scopes for some endpoints or jobs, one a line')
      .argument('[METHOD PATH...]', 'of what will be called')
      .option('--job <name>', 'what will be done, as "latchkey catalog jobs" has it; several times', collect)
      .option('--service <id>', 'where several services have the path')
      .addHelpText('after', `\nExample: ${example}`),
    async ({ client, output }, { job: jobs = [], service }, ...given) => {
      const endpoints = pairsOf(given.flat()).map((pair) => ({ ...pair, service }))
      if (endpoints.length + jobs.length === 0)
        throw usage('Nothing is said of what will be called.', `For example: ${example}`)
      const body = { endpoints, jobs }
      const { body: needed } = await client.call<Needed>('POST', '/api/v1/catalog/scopes-for', { body })
      output.show({ json: needed, quiet: needed.scopes, people: () => needed.scopes.join('\n') })
      for (const note of notesOf(needed)) output.note(note)
    },
    { signIn: 'optional' },
  )

/** In turn, or each pair quoted as one. @throws Failure */
function pairsOf(given: readonly string[]): { method: string; path: string }[] {
  const words = given.flatMap((text) => text.split(/\s+/)).filter((word) => word !== '')
  return words.flatMap((method, index) => {
    if (index % 2 === 1) return []
    const path = words[index + 1]
    if (path?.startsWith('/')) return [{ method, path }]
    throw usage(
      `After the method "${method}" its path is missing, which begins with "/".`,
      `For example: ${example}`,
    )
  })
}

/** Scopes are of no use there. */
const withoutToken = ['browser-only', 'webhook-ingress', 'internal']

function notesOf({ scopes, endpoints }: Needed): string[] {
  const closed = endpoints.filter(({ access }) => withoutToken.includes(access))
  return [
    ...closed.map(({ method, path, access }) => `${method} ${path} is not for tokens: it is ${access}.`),
    ...(scopes.length === 0 ? ['No scope is needed.'] : []),
  ]
}
