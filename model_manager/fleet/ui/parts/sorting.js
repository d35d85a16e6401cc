// In which order models are listed. It is a parameter of the address; a minus turns it round.
import { put } from '../address.js';

/** Values of the address, and what they are called. */
const ORDERS = [
  ['name', 'name, A to Z'], ['-name', 'name, Z to A'],
  ['-size', 'largest first'], ['size', 'smallest first'],
  ['-machines', 'on most machines first'], ['machines', 'on fewest machines first'],
  ['-copies', 'most copies first'], ['copies', 'fewest copies first'],
  ['-bytes', 'most room taken first'], ['bytes', 'least room taken first'],
  ['-used', 'last used first'], ['used', 'unused for longest first'],
  ['-added', 'newest here first'], ['added', 'oldest here first'],
];

/** Without words models stand by name as it is, with words the best match does. `sort` and `descending` are how the list stands now; `params` what the search is asked; `by(order)` sorts by a column, and turns it
 * round when that is so already. */
export function useSorting(given, words) {
  const options = words ? [['', 'best match first'], ...ORDERS] : [['', ORDERS[0][1]], ...ORDERS.slice(1)];
  const value = options.some(([each]) => each === given) ? given : '';
  const name = value.replace('-', '');
  const sort = name || (words ? '' : 'name');
  const descending = value.startsWith('-');
  const by = (order) => {
    const down = order === sort ? !descending : order !== 'name';
    put({ sort: order === 'name' && !down && !words ? '' : `${down ? '-' : ''}${order}` });
  };
  return { value, options, sort, descending, by, params: { sort: name, descending: descending || '' } };
}
