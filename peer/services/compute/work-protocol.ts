/** The name under which peers work for others. Apart from what is said there, for those that only decide who may. */
export const WORK_PROTOCOL = "work/1";
