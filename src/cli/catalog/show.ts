// `latchkey catalog show <endpoint id>`: all it takes to call one endpoint.
import { Command } from 'commander'
import { Failure, usage } from '../failure.ts'
import { remote } from '../remote.ts'
import { endpointPage } from './page.ts'
import { type Catalog, type Endpoint, readCatalog } from './view.ts'

type Options = { readonly service?: string }

export const show = () =>
  remote<Options>(
    new Command('show')
      .description('Show how to call an endpoint, and what can go wrong')
      .argument('<endpoint id>', 'as "latchkey catalog search" has it')
      .option('--service <id>', 'where several have the endpoint'),
    async ({ client, output }, { service }, id = '') => {
      const catalog = await readCatalog(client, { q: id, service })
      const endpoint = only(id, catalog.endpoints)
      const about = aboutOf(endpoint, catalog)
      output.show({
        json: { endpoint, ...about },
        quiet: [endpoint.id],
        people: () => endpointPage(endpoint, about),
      })
    },
    { signIn: 'optional' },
  )

export type About = ReturnType<typeof aboutOf>

/** What the rest of the catalog says of it. */
function aboutOf({ service, id, errors }: Endpoint, catalog: Catalog) {
  const { baseUrl = null, servers = [] } = catalog.services.find((one) => one.id === service) ?? {}
  return {
    baseUrls: baseUrl === null ? servers : [baseUrl],
    // A service's own words come first: it knows better what its refusal means.
    errors: errors.flatMap((code) => {
      const all = catalog.errors.filter((one) => one.code === code)
      return all.find((one) => one.service === service) ?? all.find((one) => !one.service) ?? []
    }),
    workflows: catalog.workflows
      .filter(({ steps }) => steps.some((step) => step.service === service && step.endpoint === id))
      .map(({ id, service, title }) => ({ id, service, title })),
  }
}

/** @param found those in which the id occurs somewhere */
function only(id: string, found: readonly Endpoint[]): Endpoint {
  const [first, ...others] = found.filter((one) => one.id === id)
  if (!first) {
    const some = found.slice(0, 5).map((one) => one.id)
    const whatToDo = some.length > 0 ? `It occurs in ${some.join(', ')}.` : 'Search: latchkey catalog search'
    throw new Failure('notFound', 'not-found', `There is no endpoint "${id}".`, whatToDo)
  }
  if (others.length === 0) return first
  const owners = [first, ...others].map((one) => one.service).join(', ')
  throw usage(`"${id}" is of several services: ${owners}.`, 'Say which: --service <id>')
}
