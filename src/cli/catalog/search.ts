// `latchkey catalog search [words]`: the endpoints that do something, a line for each.
import { Command } from 'commander'
import { remote } from '../remote.ts'
import { type EndpointLine, endpointTable } from './view.ts'

/** Options that are query parameters of the same name. */
const filters = ['service', 'scope', 'method', 'access', 'job', 'workflow'] as const
type Options = { readonly [name in (typeof filters)[number]]?: string }

export const search = () =>
  remote<Options>(
    new Command('search')
      .description('Find endpoints, with the scopes they need')
      .argument('[words...]', 'that must all occur')
      .option('--service <id>')
      .option('--scope <scope>', 'that need it')
      .option('--method <method>', 'GET, POST, …', (method) => method.toUpperCase())
      .option('--access <access>', 'who may call: token, both, public, …')
      .option('--job <name>', 'that it takes; as "latchkey catalog jobs" has it')
      .option('--workflow <id>', 'that are steps of it'),
    async ({ client, output }, options, ...words) => {
      const named = Object.fromEntries(filters.map((name) => [name, options[name]]))
      const query = { ...named, q: words.flat().join(' ') || undefined, view: 'summary' }
      const path = '/api/programmatic/catalog'
      const { body } = await client.call<{ endpoints: EndpointLine[] }>('GET', path, { query })
      const { endpoints } = body
      output.show({
        json: { endpoints },
        quiet: endpoints.map(({ id }) => id),
        people: () => (endpoints.length > 0 ? endpointTable(endpoints) : 'No endpoint is like that.'),
      })
    },
    { signIn: 'optional' },
  )
