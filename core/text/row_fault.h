/* core/text/row_fault.h - the kinds of what can be wrong with a row of data. Of each kind only the
 * first rows are listed; the rest are counted. */
#pragma once

enum row_fault {
    FAULT_NOT_JSON,
    FAULT_MISSING,
    FAULT_TYPE,
    FAULT_ROLE,
    FAULT_ID,
    FAULT_LENGTHS,
    FAULT_SHORT,
    FAULT_TEXT,
    FAULT_TEMPLATE,
    FAULT_FIELDS, /* of CSV */
    FAULTS
};
